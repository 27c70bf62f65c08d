/// The fields of /proc/PID/stat that tell a process's place, age and use of the processor.
public struct ProcessStat: Sendable, Equatable {
    /// Process id.
    public var pid: Int32
    /// One letter: `R`, `S`, `D`, `T`, `Z` and others (proc(5)).
    public var state: UInt8
    /// Parent's process id.
    public var parent: Int32
    /// Process group.
    public var group: Int32
    /// Session: the number of the process that made it.
    public var session: Int32
    /// Kernel flags (PF_*).
    public var flags: UInt32
    /// Clock ticks of its own processor time.
    public var ownCPUTicks: UInt64
    /// Clock ticks of processor time: its own and that of the children it has waited for.
    public var cpuTicks: UInt64
    /// Threads it has.
    public var threads: Int32
    /// Clock ticks from boot to its start: with the pid and the boot id, its identity.
    public var startTime: UInt64

    /// PF_FORKNOEXEC of linux/sched.h: forked, and has executed nothing since.
    private static let forkedWithoutExec: UInt32 = 0x40

    /// Whether it has executed a program since it was forked.
    public var hasExecuted: Bool { flags & Self.forkedWithoutExec == 0 }

    /// Whether it has ended and waits to be reaped.
    public var isZombie: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }

    /// Whether it is stopped by a signal.
    public var isStopped: Bool { state == UInt8(ascii: "T") }

    /// Reads the file's content; nil if it is not of this form.
    ///
    /// - Parameter content: The file's bytes.
    public init?(_ content: ArraySlice<UInt8>) {
        // The name in parentheses is the process's own choice and may hold spaces and parentheses.
        guard let open = content.firstIndex(of: UInt8(ascii: "(")),
            let close = content.lastIndex(of: UInt8(ascii: ")")), open < close,
            let pid = Int32(String(decoding: content[..<open].dropLast(), as: UTF8.self))
        else { return nil }
        let fields = content[(close + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count >= 20, let state = fields[0].first else { return nil }
        func number<Number: FixedWidthInteger>(_ field: Int) -> Number? {
            Number(String(decoding: fields[field - 3], as: UTF8.self))
        }
        guard let parent: Int32 = number(4), let group: Int32 = number(5), let session: Int32 = number(6),
            let flags: UInt32 = number(9), let start: UInt64 = number(22),
            let user: UInt64 = number(14), let system: UInt64 = number(15),
            let threads: Int32 = number(20), let childUser: Int64 = number(16),
            let childSystem: Int64 = number(17)
        else { return nil }
        self.pid = pid
        self.state = state
        self.parent = parent
        self.group = group
        self.session = session
        self.flags = flags
        self.startTime = start
        self.threads = threads
        ownCPUTicks = user &+ system
        cpuTicks = ownCPUTicks &+ UInt64(max(0, childUser)) &+ UInt64(max(0, childSystem))
    }
}
