import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

@Suite("LaunchGate")
struct LaunchGateTests {
    @Test("numbers at or above the limit take no room below it")
    func countsBelowTheLimit() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gate-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["0", "1", "99", "100", "2000"] {
            try Data().write(to: folder.appendingPathComponent(name))
        }
        #expect(LaunchGate.free(listed: folder.path, limit: 100) == 97)
    }

    @Test("a folder that cannot be read counts nothing")
    func unreadableCountsNothing() {
        #expect(LaunchGate.free(listed: "/nowhere", limit: 100) == nil)
    }

    @Test("one descriptor below the reserve, or an unknown number, closes the gate", arguments: [63, 0, nil])
    func closesBelowTheReserve(_ free: Int?) {
        let error = #expect(throws: BulkheadError.self) { try LaunchGate.check(free: free) }
        #expect(error?.code == .host)
        #expect(error?.message.contains("\(free ?? 0) file descriptors are free, 64 must be") == true)
    }

    @Test("the gate is open from the reserve on")
    func opensAtTheReserve() throws {
        try LaunchGate.check(free: 64)
    }
}
