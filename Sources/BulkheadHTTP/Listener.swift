public import BulkheadCore
public import BulkheadEngine
import Glibc
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle
import Synchronization

/// Serves the API at one address.
public struct Listener: Service {
    private let socket: SocketFile
    private let connections: Int
    private let supervisor: Supervisor
    private let logger: Logger
    /// Clients can connect, and whom the socket is not meant for cannot.
    public let opened = Milestone()

    /// Makes a service for each address, having checked that each is free.
    /// - Parameters:
    ///   - listen: Where to listen; at least one address.
    ///   - supervisor: Whose API it is.
    ///   - socketGroup: The group that may use the sockets beside their owner; nil is none.
    ///   - logger: For what goes wrong.
    /// - Returns: The services; each ends by graceful shutdown.
    /// - Throws: ``BulkheadError`` for an address that is taken or cannot be listened on.
    public static func services(
        listen: [ListenAddress],
        supervisor: Supervisor,
        socketGroup: String?,
        logger: Logger
    ) throws(BulkheadError) -> [Listener] {
        guard !listen.isEmpty else {
            throw BulkheadError(.invalidSetting, "there is no address to listen on", advice: "give --listen")
        }
        let connections = connections(for: listen.count)
        var services: [Listener] = []
        for (index, address) in listen.enumerated() {
            guard !listen[..<index].contains(address) else {
                throw BulkheadError(.invalidSetting, "\(address) is to be listened on twice")
            }
            guard case .unix(let path) = address else {
                throw BulkheadError(
                    .invalidSetting,
                    "\(address) cannot be listened on: TCP needs a bearer token, which this version lacks",
                    advice: "listen on unix:PATH; ssh -L brings a Unix socket to another machine"
                )
            }
            let socket = SocketFile(path: path, group: socketGroup)
            try socket.check()
            services.append(
                Listener(socket: socket, connections: connections, supervisor: supervisor, logger: logger)
            )
        }
        return services
    }

    /// Serves until graceful shutdown; requests that are under way are answered first.
    /// - Throws: ``BulkheadError`` where the socket cannot be made or given its mode.
    public func run() async throws {
        let opening = Opening()
        let application = Application(
            router: router,
            server: .http1(
                configuration: Self.connection { [supervisor] peer in
                    !peer.isAlive || peer.pid > 0 && supervisor.isOurs(process: peer.pid)
                }
            ),
            configuration: ApplicationConfiguration(
                address: .unixDomainSocket(path: socket.path),
                backlog: Limits.connections,
                availableConnectionsDelegate: MaximumAvailableConnections(connections, logger: logger)
            ),
            onServerRunning: { channel in
                opening.finish(socket)
                if opening.error == nil { opened.reach() } else { channel.close(promise: nil) }
            },
            logger: logger
        )
        defer { socket.remove(identity: opening.identity) }
        do { try await application.run() } catch {
            if let refused = opening.error { throw refused }
            guard let error = error as? IOError else { throw error }
            throw BulkheadError(
                .host,
                "cannot listen on unix:\(socket.path)",
                cause: error.description,
                advice: "see to the folder's owner and mode, or give another path with --listen unix:PATH"
            )
        }
        if let refused = opening.error { throw refused }
    }

    /// Connections that each of some listeners may have.
    ///
    /// At most half of the descriptors go to clients: what is left is for handlers, and NIO's accept loop spins
    /// once there is none left.
    private static func connections(for listeners: Int) -> Int {
        let descriptors = sysconf(Int32(_SC_OPEN_MAX))
        let all = descriptors > 0 ? min(Limits.connections, descriptors / 2) : Limits.connections
        return max(1, all / listeners)
    }

    private var router: Router<CallContext> {
        let router = Router(context: CallContext.self)
        router.add(middleware: ProblemMiddleware())
        let table = RouteTable(router: router)
        TaskRoutes(supervisor: supervisor).add(to: table)
        OutputRoutes(supervisor: supervisor).add(to: table)
        OperatorRoutes(supervisor: supervisor).add(to: table)
        let streams = ServerSentEvents()
        OutboxRoutes(supervisor: supervisor, streams: streams).add(to: table)
        EventRoutes(supervisor: supervisor, streams: streams).add(to: table)
        return router
    }

    /// How a connection is read and guarded.
    /// - Parameter isRefused: Whether nothing of this peer is to be answered.
    /// - Returns: The configuration.
    static func connection(
        _ isRefused: @escaping @Sendable (PeerCredentials) -> Bool
    ) -> HTTP1Channel.Configuration {
        HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionGuard(isRefused: isRefused)],
            idleTimeout: .seconds(Int64(Limits.idleSeconds)),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: Limits.headerBytes,
                maxHeaderListSize: Limits.headerBytes,
                maxHeaderFieldCount: Limits.headerFields
            )
        )
    }
}

/// What came of giving the socket its mode, once the server was bound.
final class Opening: Sendable {
    private let state = Mutex<(identity: Int?, error: BulkheadError?)>((nil, nil))

    var identity: Int? { state.withLock { $0.identity } }
    var error: BulkheadError? { state.withLock { $0.error } }

    func finish(_ socket: SocketFile) {
        let identity = socket.identity
        var failure: BulkheadError?
        do { try socket.setAccess() } catch { failure = error }
        state.withLock { [failure] in $0 = (identity, failure) }
    }
}
