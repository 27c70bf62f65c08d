import BulkheadLaunch
import Foundation
import Testing

/// The seeds of the launch-message fuzzer: every sample of these tests, as it is encoded now.
///
/// A seed of an older layout is refused at its version and teaches the fuzzer nothing, so whoever changes a layout
/// writes them anew, with BULKHEAD_WRITE_CORPUS=1 in the environment of this test.
@Suite("The launch-message fuzzer's corpus")
struct FuzzCorpusTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(components: "Fuzzers", "LaunchMessage", "corpus")
    private static let isWritten = ProcessInfo.processInfo.environment["BULKHEAD_WRITE_CORPUS"] != nil

    private static func seeds() throws -> [String: [UInt8]] {
        var seeds: [String: [UInt8]] = [:]
        for (index, message) in MessageCodecTests.supervisorMessages.enumerated() {
            seeds["supervisor-\(index)"] = MessageCodec.encode(message)
        }
        for (index, message) in MessageCodecTests.launcherMessages.enumerated() {
            seeds["launcher-\(index)"] = MessageCodec.encode(message)
        }
        for (name, spec) in LaunchSpecTests.samples { seeds["spec-\(name)"] = try spec.encoded() }
        seeds["record"] = OutcomeRecordTests.record.encoded()
        seeds["reports"] = ChildReportTests.reports.flatMap(\.bytes)
        seeds["stat"] = Array(ProcessStatTests.line.utf8)
        seeds["oom"] = Array("low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 0\n".utf8)
        seeds["elf"] = elf
        seeds["script"] = Array(" /usr/bin/env -S python3 -u 'a b'\nprint()\n".utf8)
        seeds["namespaces"] = Array("direct pid=1 mounts=1 network=1 ipc=1".utf8)
        seeds["mounts"] = Array(
            "25 1 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n0::/a\\040b\n"
                .utf8
        )
        seeds["status"] = Array("Name:\tx\nCapInh:\t0\nCapEff:\t00000000000000c1\n".utf8)
        seeds["lines"] = Array("{}\n\n{\"result\":1}\nlonger than the bound\nend".utf8)
        return seeds
    }

    /// What follows the first six bytes of an x86-64 program that names its loader.
    private static var elf: [UInt8] {
        func number(_ value: UInt64, _ bytes: Int) -> [UInt8] {
            (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        }
        let loader = Array("/lib64/ld-linux-x86-64.so.2\0".utf8)
        var file = [UInt8](repeating: 0, count: 120) + loader
        func put(_ value: UInt64, _ bytes: Int, at place: Int) {
            file.replaceSubrange(place..<place + bytes, with: number(value, bytes))
        }
        put(3, 2, at: 16)
        put(62, 2, at: 18)
        put(64, 8, at: 32)
        put(56, 2, at: 54)
        put(1, 2, at: 56)
        put(3, 4, at: 64)
        put(120, 8, at: 72)
        put(UInt64(loader.count), 8, at: 96)
        return Array(file.dropFirst(6))
    }

    @Test("every sample is in the corpus as it is encoded now")
    func everySample() throws {
        for (name, bytes) in try Self.seeds() {
            let file = Self.folder.appending(component: "seed-" + name)
            if Self.isWritten { try Data(bytes).write(to: file) }
            let kept = try? Data(contentsOf: file)
            #expect(
                kept.map { Array($0) } == bytes,
                "seed-\(name) is of another layout: run this test once with BULKHEAD_WRITE_CORPUS=1"
            )
        }
    }

    @Test("no seed is left of a sample that is gone")
    func noOther() throws {
        let seeds = try Self.seeds()
        for name in try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        where name.hasPrefix("seed-") {
            #expect(seeds[String(name.dropFirst(5))] != nil, "\(name) is no sample's")
        }
    }
}
