/// What `on-denied: audit` means for each denied call: it goes through and is recorded, but for those of the held calls.
///
/// A socket is bounded by the filter alone: no file rule keeps a Unix socket from the sockets of the host, and where
/// there is no network namespace nothing else keeps `network: none`. So calls that open sockets, io_uring's
/// rings among them, stay denied under audit too. Entries of a foreign architecture are killed under every policy.
public enum AuditRule {
    /// Calls that stay denied.
    public static let held: Set<String> = [
        "socket", "socketpair", "io_uring_setup", "io_uring_enter", "io_uring_register",
    ]

    /// The numbers of the calls that stay denied, ascending.
    ///
    /// - Parameter table: The system calls of the host.
    /// - Returns: The numbers.
    public static func heldNumbers(of table: SyscallTable = .current) -> [UInt32] {
        held.compactMap { table.number(of: $0) }.sorted()
    }

    /// What a denied call meets under a policy, as a record tells it.
    ///
    /// - Parameters:
    ///   - call: The call's name.
    ///   - onDenied: What the policy says.
    /// - Returns: The policy's word; `errno` for a call that audit holds.
    public static func action(on call: String, _ onDenied: SandboxPolicy.OnDenied) -> SandboxPolicy.OnDenied {
        onDenied == .audit && held.contains(call) ? .errno : onDenied
    }

    static func warnings(_ onDenied: SandboxPolicy.OnDenied) -> [String] {
        guard onDenied == .audit else { return [] }
        return [
            "on-denied: audit protects from nothing: the calls that the policy denies go through and are only "
                + "recorded, all but those that open sockets; never run it on input that you do not trust"
        ]
    }
}
