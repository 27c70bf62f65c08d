import BulkheadCore
import BulkheadAPI
import Hummingbird
public import Logging
import ServiceLifecycle

/// Answers at the API's addresses while the supervisor is not there yet.
///
/// To look through the database of a long life takes a while. So that nobody takes the supervisor for gone
/// meanwhile, every call is told that it is starting, `/livez` too, since the store does not answer yet.
public struct Porter: Sendable {
    /// The time after which a start is no longer taken for a quick one.
    private static let patience: Duration = .milliseconds(500)

    private let sockets: [SocketFile]
    private var logger: Logger

    /// Makes a porter; it opens nothing yet.
    /// - Parameters:
    ///   - listen: The addresses of the API.
    ///   - socketGroup: The group that may use the sockets beside their owner; nil is none.
    ///   - logger: For the server under it.
    public init(listen: [ListenAddress], socketGroup: String?, logger: Logger) {
        sockets = listen.compactMap { address in
            guard case .unix(let path) = address else { return nil }
            return SocketFile(path: path, group: socketGroup)
        }
        self.logger = logger
        // The steps of a server's life that is over in a moment are of use to nobody.
        if logger.logLevel > .debug { self.logger.logLevel = max(logger.logLevel, .warning) }
    }

    /// Answers from a short while on, until it is cancelled; to be called by who holds the state folder's lock.
    public func run() async {
        guard (try? await Task.sleep(for: Self.patience)) != nil else { return }
        let doors = sockets.map { Door(socket: $0, logger: logger) }
        let group = ServiceGroup(
            configuration: .init(services: doors.map { .init(service: $0) }, logger: logger)
        )
        // A server of Hummingbird's must not be cancelled while it has connections: it is asked to end.
        let served = Task { try? await group.run() }
        await withTaskCancellationHandler {
            await served.value
        } onCancel: {
            Task { await group.triggerGracefulShutdown() }
        }
    }
}

/// The porter at one address.
private struct Door: Service {
    let socket: SocketFile
    let logger: Logger

    func run() async throws {
        let opening = Opening()
        defer { socket.remove(identity: opening.identity) }
        do {
            try socket.check()
            let application = Application(
                responder: Starting(),
                server: .http1(configuration: Listener.connection { _ in false }),
                configuration: ApplicationConfiguration(address: .unixDomainSocket(path: socket.path)),
                onServerRunning: { channel in
                    opening.finish(socket)
                    if opening.error != nil { channel.close(promise: nil) }
                },
                logger: logger
            )
            try await application.run()
        } catch {
            // The listeners meet the same a moment later, and say so.
            logger.debug("no answer while starting", metadata: ["reason": "\(error)"])
            try? await gracefulShutdown()
        }
    }
}

/// What every call is told.
private struct Starting: HTTPResponder {
    func respond(to request: Request, context: CallContext) async throws -> Response {
        let response = Response(
            Problem(
                BulkheadError(
                    .unavailable,
                    "the supervisor is starting: it looks through its database",
                    advice: "try again in a moment",
                    retryAfterSeconds: 1
                )
            ),
            headers: .closing
        )
        return request.method == .head ? response.createHeadResponse() : response
    }
}
