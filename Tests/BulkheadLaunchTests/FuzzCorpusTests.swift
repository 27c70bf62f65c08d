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
        seeds["lines"] = Array("{}\n\n{\"result\":1}\nlonger than the bound\nend".utf8)
        return seeds
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
