public import BulkheadCore
import Foundation

/// The first process of a pid namespace, as in a container: every orphan becomes its child, no signal ends it that it
/// does not handle, and its end is the end of all.
///
/// Foundation waits for its own children in ways that do not go together with reaping strangers. So the first
/// process starts this program again as its only child, and is nothing but its init.
public enum FirstProcess {
    /// The number of the first process of every pid namespace (pid_namespaces(7)).
    public static let number: Int32 = 1

    /// Whether it is this process.
    public static var isThis: Bool { getpid() == number }

    /// Starts this program again as a child with a process group of its own, so that a terminal's signals come to it
    /// once only, by way of this process.
    /// - Parameter arguments: Its arguments without its name.
    /// - Returns: Its process number.
    /// - Throws: ``BulkheadError`` with the code `host`.
    public static func startChild(_ arguments: [String]) throws(BulkheadError) -> Int32 {
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        unsafe sigemptyset(&none)
        var all = sigset_t()
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var words = unsafe ([CommandLine.arguments.first ?? "bulkhead"] + arguments).map { unsafe strdup($0) }
        defer { unsafe words.forEach { word in unsafe free(word) } }
        unsafe words.append(nil)
        var child: pid_t = 0
        let failure = unsafe posix_spawn(&child, "/proc/self/exe", nil, &attributes, words, environ)
        guard failure == 0 else {
            throw .system("posix_spawn", "the supervisor cannot be started", errno: failure)
        }
        return child
    }

    /// Reaps whatever ends, until the child has.
    ///
    /// It blocks its thread.
    /// - Parameter child: What ``startChild(_:)`` gave.
    /// - Returns: The child's exit code, or 128 and the number of the signal that ended it.
    public static func reap(until child: Int32) -> Int32 {
        while true {
            var status: Int32 = 0
            let ended = unsafe waitpid(-1, &status, 0)
            if ended == child { return exitCode(status) }
            // There is always one to wait for, as long as the child is not reaped.
            if ended < 0, errno != EINTR { return EXIT_FAILURE }
        }
    }

    /// A shell's reading of a status (wait(2)).
    private static func exitCode(_ status: Int32) -> Int32 {
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }
}
