import BulkheadCore
import BulkheadLaunch
import Logging

/// Writes what must not be lost.
struct Persistence: Sendable {
    let live: LiveAttempt
    let logger: Logger

    /// Tries of a write once the supervisor stops: it then ends without, and the next start recovers.
    private static let triesWhileStopping = 3

    /// Writes, and writes again where the store says that another try is worth it, as on a full disk.
    ///
    /// Meanwhile the launcher keeps the outcome and the handler waits on its pipe, so nothing is lost.
    /// - Throws: What the store said, where trying again is of no use or the supervisor stops.
    func write<Value: Sendable>(
        _ write: @Sendable () async throws(BulkheadError) -> Value
    ) async throws -> Value {
        var triesWhileStopping = 0
        while true {
            do throws(BulkheadError) {
                return try await write()
            } catch {
                guard let seconds = error.retryAfterSeconds else { throw error }
                if live.supervisorEnds { triesWhileStopping += 1 }
                guard triesWhileStopping < Self.triesWhileStopping else { throw error }
                logger.warning(
                    "the store could not write; tried again",
                    metadata: ["error": "\(error)", "seconds": "\(seconds)"]
                )
                try await Task.sleep(for: .seconds(seconds))
            }
        }
    }
}
