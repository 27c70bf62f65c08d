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

    /// The time for which the manager is to wait for the next word of a start.
    private static let startPatience: Duration = .seconds(60)

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

    /// Does a part of the start, and says meanwhile that it goes on.
    ///
    /// It takes as long as what is there needs, and a manager that gave it up would begin it again and again.
    /// - Parameters:
    ///   - text: What is being done, in plain words.
    ///   - part: The part.
    /// - Returns: What it gave.
    /// - Throws: What it threw.
    func starting<Value: Sendable>(
        _ text: String,
        _ part: @Sendable () async throws -> Value
    ) async rethrows -> Value {
        async let _ = sayStarting(text)
        return try await part()
    }

    /// Ends when it is cancelled.
    private func sayStarting(_ text: String) async {
        guard notification != nil else { return }
        repeat {
            say(.starting(text, within: Self.startPatience))
        } while (try? await Task.sleep(for: Self.startPatience / 3)) != nil
    }
}

/// Tells the service manager when the supervisor is ready and when it begins to stop.
struct ReadyNotice: Service {
    let readiness: Readiness
    let notices: ServiceNotices

    func run() async throws {
        await cancelWhenGracefulShutdown {
            let isReady: ()? = try? await notices.starting("recovering what a former supervisor left") {
                try await readiness.wait()
            }
            // Whoever is told to stop before it is ready has nothing to announce.
            guard isReady != nil else { return }
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
