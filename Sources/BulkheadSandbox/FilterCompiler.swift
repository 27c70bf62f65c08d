import BulkheadCore
import BulkheadPolicy
import CLinux
import CSeccomp
import Glibc
import Synchronization

/// Turns rules into a BPF program, by libseccomp.
///
/// libseccomp is handed numbers, never names: the numbers are Bulkhead's own table's. What comes out is not
/// trusted; ``FilterCheck`` compares it with the rules.
enum FilterCompiler {
    /// The number that hands the launcher its listener; see `CLINUX_RENDEZVOUS_SYSCALL`.
    static let rendezvous = UInt32(CLINUX_RENDEZVOUS_SYSCALL)

    /// The version of the library that compiles.
    static var libraryVersion: String {
        guard let version = unsafe seccomp_version() else { return "unknown" }
        return unsafe "\(version.pointee.major).\(version.pointee.minor).\(version.pointee.micro)"
    }

    /// Compiles rules of the architecture that this program was built for.
    ///
    /// - Parameter rules: The rules.
    /// - Returns: The program, unchecked.
    /// - Throws: An error of the code `internal` that names what the library refused.
    static func compile(_ rules: SystemCallRules) throws(BulkheadError) -> FilterProgram {
        guard rules.architecture == .current else {
            throw BulkheadError(
                .internal,
                "a filter of \(rules.architecture.rawValue) cannot be compiled here"
            )
        }
        return try library.withLock { _ throws(BulkheadError) in try program(rules) }
    }

    /// The library keeps what it learnt of the kernel in plain globals, so one thread at a time uses it.
    private static let library = Mutex(())

    private static func program(_ rules: SystemCallRules) throws(BulkheadError) -> FilterProgram {
        let context = try FilterContext.begin(fallback: rules.unknown)
        try context.add(.always(.deny), number: rendezvous)
        for (number, rule) in rules.rules.sorted(by: { $0.key < $1.key }) {
            try context.add(rule, number: number)
        }
        return try context.export()
    }
}

/// A filter under construction in libseccomp.
///
/// Safe, since the pointer is never handed out: it is made by `begin`, freed by `deinit`, and has one owner.
@safe private struct FilterContext: ~Copyable {
    private let context: UnsafeMutableRawPointer
    private let fallback: Verdict

    /// Begins a filter that answers numbers without a rule by the fallback, and kills foreign entries.
    static func begin(fallback: Verdict) throws(BulkheadError) -> FilterContext {
        guard let context = unsafe seccomp_init(action(fallback)) else {
            throw BulkheadError(.internal, "libseccomp cannot begin a filter", cause: errorText(ENOMEM))
        }
        let filter = unsafe FilterContext(context, fallback: fallback)
        try filter.set(SCMP_FLTATR_ACT_BADARCH, action(.kill), "kill other architectures' entries")
        try filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2, "sort calls into a tree")
        return filter
    }

    private init(_ context: UnsafeMutableRawPointer, fallback: Verdict) {
        unsafe self.context = unsafe context
        self.fallback = fallback
    }

    deinit {
        unsafe seccomp_release(context)
    }

    /// Adds a rule; the verdict that the filter gives anyhow is not added, since the library refuses that.
    func add(_ rule: SyscallRule, number: UInt32) throws(BulkheadError) {
        guard !rule.cases.isEmpty else {
            try add(rule.outside, number, [])
            return
        }
        guard rule.inside != fallback else {
            throw BulkheadError(.internal, "the cases of call \(number) cannot be told from unknown numbers")
        }
        for combination in rule.cases {
            try add(rule.inside, number, combination.conditions.map(Self.comparison))
        }
        // The library sorts comparisons by descending argument, and within one argument puts masked ones
        // first: an always-true comparison of argument 0 therefore is the last that a call meets.
        let otherwise = scmp_arg_cmp(arg: 0, op: SCMP_CMP_GE, datum_a: 0, datum_b: 0)
        try add(rule.outside, number, [otherwise])
    }

    func export() throws(BulkheadError) -> FilterProgram {
        let descriptor = unsafe clinux_memfd("bulkhead-filter")
        guard descriptor >= 0 else {
            throw BulkheadError(.host, "no memory file for a compiled filter", cause: errorText(-descriptor))
        }
        defer { close(descriptor) }
        try check(unsafe seccomp_export_bpf(context, descriptor), "export the filter")
        let bytes = try contents(of: descriptor)
        guard let program = FilterProgram(bytes: bytes) else {
            throw BulkheadError(.internal, "libseccomp exported a filter of \(bytes.count) bytes")
        }
        return program
    }

    private func add(
        _ verdict: Verdict,
        _ number: UInt32,
        _ comparisons: [scmp_arg_cmp]
    ) throws(BulkheadError) {
        guard verdict != fallback else { return }
        let result = unsafe comparisons.withUnsafeBufferPointer { buffer in
            unsafe seccomp_rule_add_array(
                context,
                Self.action(verdict),
                Int32(bitPattern: number),
                UInt32(buffer.count),
                buffer.baseAddress
            )
        }
        try check(result, "take a rule for call \(number)")
    }

    private func set(
        _ attribute: scmp_filter_attr,
        _ value: UInt32,
        _ what: String
    ) throws(BulkheadError) {
        try check(unsafe seccomp_attr_set(context, attribute, value), what)
    }

    private func check(_ result: Int32, _ what: String) throws(BulkheadError) {
        guard result < 0 else { return }
        throw BulkheadError(.internal, "libseccomp does not \(what)", cause: errorText(-result))
    }

    private static func comparison(_ condition: ArgumentCondition) -> scmp_arg_cmp {
        scmp_arg_cmp(
            arg: UInt32(condition.index),
            op: SCMP_CMP_MASKED_EQ,
            datum_a: condition.mask,
            datum_b: condition.value
        )
    }

    private static func action(_ verdict: Verdict) -> UInt32 {
        switch verdict {
        case .allow: CSECCOMP_ACTION_ALLOW
        case .deny: CSECCOMP_ACTION_NOTIFY
        case .fail(let errno): cseccomp_action_errno(errno)
        case .kill: CSECCOMP_ACTION_KILL_PROCESS
        }
    }

    private func contents(of descriptor: Int32) throws(BulkheadError) -> [UInt8] {
        let size = Int(lseek(descriptor, 0, SEEK_END))
        var bytes = [UInt8](repeating: 0, count: max(size, 0))
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe pread(descriptor, buffer.baseAddress, buffer.count, 0)
        }
        guard size > 0, count == size else {
            throw BulkheadError(.host, "a compiled filter cannot be read back", cause: errorText(errno))
        }
        return bytes
    }
}

private func errorText(_ number: Int32) -> String { unsafe String(cString: strerror(number)) }
