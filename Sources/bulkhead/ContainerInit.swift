import BulkheadHost
import Foundation
import Glibc
import UnixSignals

/// `serve` as the first process of a container: the supervisor is its child, and it is the init.
enum ContainerInit {
    /// Signals that the first process hands on.
    private static let handedOn: [UnixSignal] = [.sigterm, .sigint, .sighup, .sigquit]

    /// Starts the supervisor, hands signals on to it, reaps every orphan, and ends with the supervisor.
    ///
    /// The end of the first process is the end of everything in the container, so nothing can be left running: the
    /// supervisor is told to stop what runs.
    static func run() async throws -> Never {
        let signals = await UnixSignalsSequence(trapping: handedOn)
        let child = try FirstProcess.startChild(CommandLine.arguments.dropFirst() + ["--on-stop", "stop"])
        Thread.detachNewThread { _exit(FirstProcess.reap(until: child)) }
        for await signal in signals { kill(child, signal.rawValue) }
        // Nobody ends the sequence; the thread above ends this process.
        while true { pause() }
    }
}
