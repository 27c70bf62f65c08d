import BulkheadCore
import BulkheadEngine
import BulkheadHTTP
import BulkheadHost
import Logging
import ServiceLifecycle

/// When the supervisor takes work: its sockets are open, and recovery is over.
struct Readiness: Sendable {
    let supervisor: Supervisor
    let listeners: [Listener]
    /// The addresses, in plain words.
    let addresses: [String]

    /// Whether it is reached, and no stop has begun.
    var isReached: Bool { supervisor.phase == .ready && listeners.allSatisfy(\.opened.isReached) }

    /// Waits until it is reached.
    /// - Throws: `CancellationError` where the task was cancelled before.
    func wait() async throws {
        for listener in listeners { try await listener.opened.wait() }
        try await supervisor.ready.wait()
    }
}

/// The service manager as `serve` speaks to it; without one, nothing is said.
struct ServiceNotices: Sendable {
    private let notification: ServiceNotification?
    private let logger: Logger

    init(_ notification: ServiceNotification?, logger: Logger) {
        self.notification = notification
        self.logger = logger
    }

    /// How long the manager waits for a sign of life; nil where it does not.
    var watchdog: Duration? { notification?.watchdog }

    /// A manager that cannot be told is no reason to end: it will do what its unit says.
    func say(_ message: ServiceNotification.Message) {
        do throws(BulkheadError) {
            try notification?.send(message)
        } catch {
            logger.warning("the service manager was not told", metadata: ["error": "\(error)"])
        }
    }
}

/// Tells the service manager when the supervisor is ready and when it begins to stop.
struct ReadyNotice: Service {
    let readiness: Readiness
    let notices: ServiceNotices

    func run() async throws {
        notices.say(.status("recovering what a former supervisor left"))
        await cancelWhenGracefulShutdown {
            // Whoever is told to stop before it is ready has nothing to announce.
            guard (try? await readiness.wait()) != nil else { return }
            notices.say(.ready(Self.sentence(readiness)))
        }
        try? await gracefulShutdown()
        notices.say(.stopping("no new work is taken"))
    }

    /// What the manager shows of a supervisor that takes work.
    static func sentence(_ readiness: Readiness) -> String {
        "ready at " + readiness.addresses.joined(separator: ", ")
    }
}

/// Gives the service manager a sign of life, as long as the store answers.
///
/// To be the first of all services, and so the last that ends: a stop takes its time.
struct Watchdog: Service {
    let supervisor: Supervisor
    let notices: ServiceNotices

    func run() async throws {
        guard let limit = notices.watchdog else {
            try? await gracefulShutdown()
            return
        }
        await cancelWhenGracefulShutdown {
            repeat {
                if await supervisor.storeAnswers() { notices.say(.alive) }
            } while (try? await Task.sleep(for: limit / 2)) != nil
        }
    }
}
