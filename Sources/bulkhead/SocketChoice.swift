import BulkheadCore
import Foundation

/// The supervisor's socket as a client finds it.
struct SocketChoice: Sendable {
    let path: String
    /// Every place that was looked at, when nobody named one.
    let looked: [String]

    /// Finds the socket: the flag; else the settings `listen` and `state`, as the supervisor reads them; else a
    /// user's default, and a service's where a user's is not there.
    /// - Parameter named: The flag `--socket`.
    /// - Returns: The socket, whether anybody answers there or not.
    /// - Throws: ``BulkheadError`` where the settings that would tell are wrong.
    static func find(named: String?) throws(BulkheadError) -> SocketChoice {
        if let named { return SocketChoice(path: try PathSetting(setting: named).absolute) }
        let sources = try SettingSources(isClient: true)
        let state = try sources.read(.state, PathSetting.self).absolute
        if sources.isWritten(.listen) || sources.isWritten(.state) {
            return SocketChoice(path: try sources.listen(state: state)[0].path)
        }
        let usual = try sources.listen(state: state).map(\.path) + [SettingSources.serviceSocket]
        guard !sources.isService else { return SocketChoice(path: usual[0]) }
        return SocketChoice(path: usual.first(where: isThere) ?? usual[0], looked: usual)
    }

    private init(path: String, looked: [String] = []) {
        self.path = path
        self.looked = looked
    }

    /// A socket in a folder that is closed to us counts as there, so that what is said is that we have no right.
    private static func isThere(_ path: String) -> Bool {
        do {
            _ = try FileManager.default.attributesOfItem(atPath: path)
            return true
        } catch {
            return (error as? CocoaError)?.code == .fileReadNoPermission
        }
    }

    /// What standard error says where nobody answers.
    var wordsForNoSupervisor: String {
        let places = looked.isEmpty ? path : looked.joined(separator: " or ")
        return "no supervisor answers at \(places)\n"
            + "start one with \"bulkhead serve\", or name the socket of a running one with --socket PATH"
    }

    /// The owner of the socket, or of the nearest folder above it that we may look at.
    private var ownerOfWhatIsClosed: String? {
        var parts = path.split(separator: "/")
        while !parts.isEmpty {
            let attributes = try? FileManager.default.attributesOfItem(
                atPath: "/" + parts.joined(separator: "/")
            )
            if let owner = attributes?[.ownerAccountName] as? String { return owner }
            parts.removeLast()
        }
        return nil
    }

    /// What standard error says where somebody may answer, but not to us.
    var wordsForNoRight: String {
        let owner = ownerOfWhatIsClosed
        let whose = owner.map { ", which belongs to \($0)" } ?? ""
        return "no right to the supervisor's socket \(path)\(whose)\n"
            + "run this as the supervisor's user (sudo -u \(owner ?? "USER") bulkhead …), "
            + "or have the supervisor listen where you may go, with a group of yours as its socket-group"
    }
}
