public import BulkheadCore
import Foundation

/// The way to the service manager that started this process: what sd_notify(3) says, without its library.
public struct ServiceNotification: Sendable {
    /// What the manager is told.
    public enum Message: Sendable, Equatable {
        /// The start goes on, for a sentence's reason, and is given up only when nothing more is heard for this time,
        /// even where the unit's TimeoutStartSec= is over (EXTEND_TIMEOUT_USEC in sd_notify(3)).
        case starting(String, within: Duration)
        /// Work is taken from now on, after the start or a reload; with a sentence on what there is.
        case ready(String)
        /// The settings are being read again.
        case reloading
        /// The end has begun; with a sentence.
        case stopping(String)
        /// The process does what it is for.
        case alive
    }

    /// The time within which ``Message/alive`` must be said again and again; nil where nobody waits for it.
    public let watchdog: Duration?

    /// The address behind its family; the first byte of an abstract name is zero (unix(7)).
    private let name: [UInt8]

    /// Takes what the manager wrote into the environment, and removes it from there, so that it is meant for this
    /// process alone.
    ///
    /// To be called before other threads look into the environment.
    /// - Returns: The way; nil where no manager listens.
    /// - Throws: ``BulkheadError`` with the code `invalidSetting` for an address or a time that cannot be meant.
    public static func take() throws(BulkheadError) -> ServiceNotification? {
        let environment = ProcessInfo.processInfo.environment
        for variable in variables where environment[variable] != nil { unsafe unsetenv(variable) }
        return try ServiceNotification(environment: environment, pid: getpid())
    }

    private static let variables = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
    /// Bytes of `sun_path` in sockaddr_un.
    private static let largestName = 108
    /// Seconds for which a manager that reads nothing is waited for.
    private static let patience = 2

    init?(environment: [String: String], pid: Int32) throws(BulkheadError) {
        guard let address = environment["NOTIFY_SOCKET"], !address.isEmpty else { return nil }
        var name = Array(address.utf8)
        guard name[0] == UInt8(ascii: "/") || name[0] == UInt8(ascii: "@"), name.count > 1,
            name.count < Self.largestName
        else {
            throw BulkheadError(
                .invalidSetting,
                "NOTIFY_SOCKET=\(address.cut(toBytes: 256)) is no socket that can be notified",
                advice: "it is a path from the root, or an abstract name that begins with @"
            )
        }
        if name[0] == UInt8(ascii: "@") { name[0] = 0 } else { name.append(0) }
        self.name = name
        watchdog = try Self.watchdog(environment, pid)
    }

    /// The variables may be meant for another process (sd_watchdog_enabled(3)).
    private static func watchdog(
        _ environment: [String: String],
        _ pid: Int32
    ) throws(BulkheadError) -> Duration? {
        guard let text = environment["WATCHDOG_USEC"], !text.isEmpty else { return nil }
        if let meant = environment["WATCHDOG_PID"], meant != "\(pid)" { return nil }
        guard let microseconds = Int64(text), microseconds > 0 else {
            throw BulkheadError(
                .invalidSetting,
                "WATCHDOG_USEC=\(text.cut(toBytes: 256)) is not a number of microseconds"
            )
        }
        return .microseconds(microseconds)
    }

    /// Tells the manager; waits at most two seconds where it does not read.
    /// - Parameter message: What it is told.
    /// - Throws: ``BulkheadError`` with the code `host`.
    public func send(_ message: Message) throws(BulkheadError) {
        do throws(SystemFailure) {
            try send(Array(Self.text(message, monotonic: Self.monotonicMicroseconds()).utf8))
        } catch {
            throw BulkheadError(.host, "the service manager cannot be notified", cause: error.description)
        }
    }

    /// The message as the manager reads it: lines of `NAME=value`.
    static func text(_ message: Message, monotonic: UInt64) -> String {
        let sentence = { (text: String) in text.replacing("\n", with: " ") }
        return switch message {
        case .starting(let text, let time):
            "EXTEND_TIMEOUT_USEC=\(time.components.seconds * 1_000_000)\nSTATUS=\(sentence(text))"
        case .ready(let text): "READY=1\nSTATUS=\(sentence(text))"
        case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(monotonic)"
        case .stopping(let text): "STOPPING=1\nSTATUS=\(sentence(text))"
        case .alive: "WATCHDOG=1"
        }
    }

    private static func monotonicMicroseconds() -> UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1000
    }

    private func send(_ bytes: [UInt8]) throws(SystemFailure) {
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        try SystemFailure.checkErrno(number)
        let socket = OpenDescriptor(owning: number)
        var limit = timeval(tv_sec: Self.patience, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        try SystemFailure.checkErrno(unsafe setsockopt(socket.number, SOL_SOCKET, SO_SNDTIMEO, &limit, size))
        let family = sa_family_t(AF_UNIX)
        let address = unsafe withUnsafeBytes(of: family) { unsafe Array($0) } + name
        let sent = unsafe address.withUnsafeBytes { address in
            unsafe sendto(
                socket.number,
                bytes,
                bytes.count,
                Int32(MSG_NOSIGNAL),
                address.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(address.count)
            )
        }
        guard sent == bytes.count else { throw SystemFailure(sent < 0 ? errno : EMSGSIZE) }
    }
}
