import BulkheadCore
import FoundationEssentials
import NIOCore
import NIOPosix

/// The file of a Unix socket: whether its place is free, who may use it, and its removal.
struct SocketFile: Sendable {
    /// Bytes of a path that `sockaddr_un` holds, its final NUL not counted (unix(7)).
    static let pathBytes = 107
    let path: String
    let group: String?

    /// Checks that a server can be put here.
    ///
    /// Hummingbird removes whatever socket it finds at its path, so a connect decides first: one that is
    /// answered means that the place is taken.
    /// - Throws: ``BulkheadError`` with the reason and the way out.
    func check() throws(BulkheadError) {
        guard path.utf8.count <= Self.pathBytes else {
            throw BulkheadError(
                .invalidSetting,
                "the socket's path has \(path.utf8.count) bytes, the system takes \(Self.pathBytes): \(path)",
                advice: "give a shorter one with --listen unix:PATH"
            )
        }
        let folder = path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]) : "."
        var isFolder = false
        guard FileManager.default.fileExists(atPath: folder.isEmpty ? "/" : folder, isDirectory: &isFolder),
            isFolder
        else {
            throw BulkheadError(
                .host,
                "the socket's folder does not exist: \(folder)",
                advice: "make it first"
            )
        }
        guard let type = attributes[.type] as? FileAttributeType else { return }
        guard type == .typeSocket else {
            throw BulkheadError(
                .host,
                "there is something else than a socket at \(path)",
                advice: "remove it, or give another path with --listen unix:PATH"
            )
        }
        try checkThatNobodyAnswers()
    }

    /// Lets the owner in, and the group where one is set.
    /// - Throws: ``BulkheadError`` where the system refuses, or knows no such group.
    func setAccess() throws(BulkheadError) {
        let files = FileManager.default
        do {
            if let group {
                try files.setAttributes([.groupOwnerAccountName: group], ofItemAtPath: path)
                guard attributes[.groupOwnerAccountName] as? String == group else {
                    throw BulkheadError(
                        .invalidSetting,
                        "there is no group \"\(group)\", or it may not be set"
                    )
                }
            }
            try files.setAttributes([.posixPermissions: group == nil ? 0o600 : 0o660], ofItemAtPath: path)
        } catch {
            throw BulkheadError(
                group == nil ? .host : .invalidSetting,
                "the socket \(path) cannot be given to \(group.map { "the group \"\($0)\"" } ?? "its owner")",
                cause: "\(error)",
                advice: group == nil ? nil : "set socket-group to a group that the supervisor's user is in"
            )
        }
    }

    /// What tells this file from another one that is later at its path.
    var identity: Int? { attributes[.systemFileNumber] as? Int }

    /// Removes the file, unless another one has taken its place.
    func remove(identity: Int?) {
        guard let identity, identity == self.identity else { return }
        // What cannot be removed is a dead socket, which the next start removes.
        try? FileManager.default.removeItem(atPath: path)
    }

    private var attributes: [FileAttributeKey: Any] {
        (try? FileManager.default.attributesOfItem(atPath: path)) ?? [:]
    }

    private func checkThatNobodyAnswers() throws(BulkheadError) {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        let channel: any Channel
        do {
            channel = try bootstrap.connect(unixDomainSocketPath: path).wait()
        } catch let error as IOError where [ECONNREFUSED, ENOENT].contains(error.errnoCode) {
            return
        } catch let error as IOError where error.errnoCode == EAGAIN {
            throw taken(by: nil)
        } catch {
            throw BulkheadError(
                .host,
                "it cannot be found out who uses the socket \(path)",
                cause: "\(error)",
                advice: "remove it, or give another path with --listen unix:PATH"
            )
        }
        let peer = try? PeerCredentials.read(of: channel)?.wait()
        channel.close(promise: nil)
        throw taken(by: peer)
    }

    private func taken(by peer: PeerCredentials?) -> BulkheadError {
        let who = peer.map { "process \($0.pid)" } ?? "another server"
        return BulkheadError(
            .host,
            "\(who) answers on \(path) already",
            advice: "stop it, or give another path with --listen unix:PATH"
        )
    }
}
