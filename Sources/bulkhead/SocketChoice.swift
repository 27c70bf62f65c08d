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

    /// The owner of the socket, or of the nearest folder above it that we may look at, and the group that it lets in.
    private var keepersOfWhatIsClosed: (owner: String?, group: String?) {
        var parts = path.split(separator: "/")
        while !parts.isEmpty {
            let attributes = try? FileManager.default.attributesOfItem(
                atPath: "/" + parts.joined(separator: "/")
            )
            if let attributes, let owner = attributes[.ownerAccountName] as? String {
                let mode = attributes[.posixPermissions] as? Int ?? 0
                let group = attributes[.groupOwnerAccountName] as? String
                return (owner, mode & 0o070 == 0 || group == "root" ? nil : group)
            }
            parts.removeLast()
        }
        return (nil, nil)
    }

    private static var user: String {
        let name = NSUserName()
        return name.isEmpty ? "USER" : name
    }

    /// What standard error says where somebody may answer, but not to us.
    var wordsForNoRight: String {
        let (owner, group) = keepersOfWhatIsClosed
        let whose = owner.map { ", which belongs to \($0)" } ?? ""
        let rest =
            group.map {
                "or as a member of the group \($0) (sudo usermod -aG \($0) \(Self.user), then log in again)"
            }
            ?? "or have the supervisor listen where you may go, with a group of yours as its socket-group"
        return "no right to the supervisor's socket \(path)\(whose)\n"
            + "run this as the supervisor's user (sudo -u \(owner ?? "USER") bulkhead …), " + rest
    }
}
