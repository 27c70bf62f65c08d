import BulkheadLaunch
import Testing

@Suite("ChildReport")
struct ChildReportTests {
    static let reports: [ChildReport] = [
        .installing, .failed(stage: .landlock, errno: 13, item: 7), .failed(stage: .exec, errno: 8, item: 0),
        .born(first: 12, handler: 4_000_000),
    ]

    @Test("reports that come in one read are told apart")
    func together() throws {
        let bytes = Self.reports.flatMap(\.bytes)
        #expect(bytes.count == Self.reports.count * ChildReport.size)
        #expect(try ChildReport.reports(in: bytes[...]) == Self.reports)
        #expect(try ChildReport.reports(in: []) == [])
    }

    @Test("whatever one byte is changed to, a report is rejected or encodes to the same bytes again")
    func everyByte() {
        for report in Self.reports {
            for index in report.bytes.indices {
                for other in UInt8.min ... .max {
                    var bytes = report.bytes
                    bytes[index] = other
                    guard let read = try? ChildReport.reports(in: bytes[...]) else { continue }
                    #expect(read.flatMap(\.bytes) == bytes, "byte \(index) as \(other)")
                }
            }
        }
    }

    @Test("a report that is cut or unknown is rejected")
    func malformed() {
        let bytes = ChildReport.installing.bytes
        #expect(throws: CodecError.self) { try ChildReport.reports(in: bytes.dropLast()) }
        #expect(throws: CodecError.unknownKind(found: 9)) {
            try ChildReport.reports(in: ([9] + bytes.dropFirst())[...])
        }
    }
}
