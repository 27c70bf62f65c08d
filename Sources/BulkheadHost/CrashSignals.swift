import Foundation

/// The signals of a crash.
public enum CrashSignals {
    /// Lets each of them end the process at once, as the system does by default.
    ///
    /// The Swift runtime's backtracer takes them otherwise, where it is installed. It holds all threads up while it
    /// writes, and after a signal that somebody sent, as a service's watchdog does, it lets the process live on. A
    /// backtrace that is asked for by `SWIFT_BACKTRACE` is left as it is.
    public static func restoreDefaults() {
        guard ProcessInfo.processInfo.environment["SWIFT_BACKTRACE"] == nil else { return }
        for number in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] {
            signal(number, SIG_DFL)
        }
    }
}
