import Foundation

/// A counted point in a supervisor's life: the N-th write, sync, spawn, message or piece of memory over all its threads.
///
/// `libFaultPoints.so`, preloaded, counts them and strikes; both sides share a page, laid out as in `faultpoints.h`.
struct FaultPoint: CustomStringConvertible {
    /// What is counted, in the order of `enum fault_kind`.
    enum Kind: Int, CaseIterable, Sendable {
        case write, sync, name, spawn, send, receive, memory
    }

    /// What is struck there.
    enum Victim: Int, CaseIterable, Sendable {
        /// The supervisor itself.
        case supervisor = 1
        /// Its launchers, while it stands still.
        case launchers = 2
        /// The call, which fails.
        case call = 3
    }

    var kind: Kind
    var victim: Victim
    /// From 1.
    var number: Int
    /// Whether the call is done first.
    var isAfter: Bool

    var description: String {
        guard victim != .call else { return "\(kind) \(number) refused" }
        return "\(isAfter ? "after" : "before") \(kind) \(number), \(victim) killed"
    }

    static let library = Workbench.programs + "/libFaultPoints.so"
}

/// The page that a test shares with one supervisor.
final class FaultPage: Sendable {
    let path: String

    /// Makes a page in a file.
    init(_ path: String, _ point: FaultPoint) throws {
        self.path = path
        var page = Data(count: 4096)
        page.replaceSubrange(0..<4, with: Self.bytes(Int32(point.kind.rawValue)))
        page.replaceSubrange(4..<8, with: Self.bytes(Int32(point.victim.rawValue)))
        page.replaceSubrange(8..<16, with: Self.bytes(UInt64(point.number)))
        page.replaceSubrange(16..<20, with: Self.bytes(Int32(point.isAfter ? 1 : 0)))
        try page.write(to: URL(filePath: path))
    }

    /// What a supervisor needs in its environment.
    var environment: [String: String] {
        ["LD_PRELOAD": FaultPoint.library, "FAULT_POINTS_PAGE": path]
    }

    /// Whether the point was reached.
    func isReached() throws -> Bool { try read()[20] != 0 }

    /// Whether the supervisor stands still at the point.
    func isWaiting() throws -> Bool { try read()[20] == 1 }

    /// Lets the supervisor go on.
    func release() throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: 20)
        try file.write(contentsOf: Self.bytes(Int32(2)))
        try file.close()
    }

    /// How many points of a kind there were.
    func count(of kind: FaultPoint.Kind) throws -> Int {
        let start = 24 + 8 * kind.rawValue
        let page = try read()
        return (0..<8).reduce(0) { $0 | Int(page[start + $1]) << (8 * $1) }
    }

    private func read() throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

    /// A number as the other side of a shared page reads it.
    static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}
