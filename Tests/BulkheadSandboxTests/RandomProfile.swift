import BulkheadCore
import BulkheadPolicy
import BulkheadSandbox
import SeededRandom

/// An OCI profile made by chance, as text, and what it means by a reading of its own.
struct RandomProfile {
    /// The profile's text.
    let json: JSONValue
    private let entries: [JSONValue]

    static let calls = [
        "socket", "clone", "ioctl", "mmap", "ptrace", "kill", "lseek", "prctl", "keyctl", "openat",
    ]
    private static let essential = ["exit", "exit_group", "rt_sigreturn", "write", "execve"]
    private static let operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
    private static let actions = ["ALLOW", "LOG", "ERRNO", "TRAP", "KILL_PROCESS"]
    static let values: [UInt64] = [
        0, 1, 2, 16, 40, 0xFF, 0x5412, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63, .max,
    ]

    init(using numbers: inout SeededRandom) {
        let entries = (0..<Int.random(in: 1...8, using: &numbers)).map { _ in Self.entry(&numbers) }
        var object: JSONObject = ["defaultAction": .string(Self.action(&numbers))]
        if object["defaultAction"]?.string == "SCMP_ACT_ERRNO", Bool.random(using: &numbers) {
            object["defaultErrnoRet"] = .integer(Int.random(in: 1...4_095, using: &numbers))
        }
        let given: JSONValue = [
            "names": .array(Self.essential.map { .string($0) }), "action": "SCMP_ACT_ALLOW",
        ]
        object["syscalls"] = .array([given] + entries)
        json = .object(object)
        self.entries = [given] + entries
    }

    private static func action(_ numbers: inout SeededRandom) -> String {
        "SCMP_ACT_" + actions[Int.random(in: 0..<actions.count, using: &numbers)]
    }

    private static func entry(_ numbers: inout SeededRandom) -> JSONValue {
        var entry: JSONObject = [:]
        let names = Set(
            (0..<Int.random(in: 1...4, using: &numbers)).map { _ in
                calls[Int.random(in: 0..<calls.count, using: &numbers)]
            }
        )
        entry["names"] = .array(names.sorted().map { .string($0) })
        let action = action(&numbers)
        entry["action"] = .string(action)
        if action == "SCMP_ACT_ERRNO", Bool.random(using: &numbers) {
            entry["errnoRet"] = .integer([0, 1, 2, 13, 22, 38, 4_095].randomElement(using: &numbers) ?? 1)
        }
        let count = Int.random(in: 0...4, using: &numbers)
        if count > 0 { entry["args"] = .array((0..<count).map { _ in condition(&numbers) }) }
        return .object(entry)
    }

    private static func condition(_ numbers: inout SeededRandom) -> JSONValue {
        let mask = values.randomElement(using: &numbers) ?? 0
        let word = operators.randomElement(using: &numbers) ?? "EQ"
        var condition: JSONObject = [
            "index": .integer(Int.random(in: 0...5, using: &numbers)), "value": .integer(mask),
            "op": .string("SCMP_CMP_" + word),
        ]
        if word == "MASKED_EQ" {
            condition["valueTwo"] = .integer((values.randomElement(using: &numbers) ?? 0) & mask)
        }
        return .object(condition)
    }

    // MARK: What it means, read straight from the text

    /// What happens to a call whose numbers of arguments are cut to what the kernel looks at.
    func verdict(_ call: Syscall, _ arguments: [UInt64]) -> Verdict {
        let fallback = Self.verdict(json["defaultAction"], json["defaultErrnoRet"], isDefault: true)
        let holding = entries.filter { Self.holds($0, call, arguments) }
            .map { Self.verdict($0["action"], $0["errnoRet"], isDefault: false) }
            .filter { $0 != fallback }
        let isNamed = entries.contains { $0["names"]?.array?.contains(.string(call.name)) == true }
        let newest =
            entries.flatMap { $0["names"]?.array ?? [] }
            .compactMap { $0.string.flatMap { SyscallTable.current.number(of: $0) } }.max() ?? 0
        if !isNamed, call.number > newest, !fallback.passes { return .unimplemented }
        return holding.enumerated().min {
            (Self.rank($0.element), $0.offset) < (Self.rank($1.element), $1.offset)
        }?.element ?? fallback
    }

    private static func rank(_ verdict: Verdict) -> Int {
        switch verdict {
        case .denyAndEnd, .kill: 0
        case .trap: 1
        case .denyWith, .fail, .deny: 2
        case .log: 3
        case .allow: 4
        }
    }

    private static func verdict(_ action: JSONValue?, _ errno: JSONValue?, isDefault: Bool) -> Verdict {
        switch action?.string {
        case "SCMP_ACT_ALLOW": return .allow
        case "SCMP_ACT_LOG": return .log
        case "SCMP_ACT_TRAP": return .trap
        case "SCMP_ACT_KILL_PROCESS": return .denyAndEnd
        default:
            let number = UInt16(errno?.integer ?? 1)
            if number == 0 || number == 38 && !isDefault { return .fail(errno: number) }
            return .denyWith(errno: number)
        }
    }

    private static func holds(_ entry: JSONValue, _ call: Syscall, _ arguments: [UInt64]) -> Bool {
        guard entry["names"]?.array?.contains(.string(call.name)) == true else { return false }
        let conditions = entry["args"]?.array ?? []
        guard !conditions.isEmpty else { return true }
        let places = conditions.compactMap { $0["index"]?.integer }
        let held = conditions.map { Self.isMet($0, call, arguments) }
        return Set(places).count < places.count ? held.contains(true) : !held.contains(false)
    }

    /// As the kernel's own code would compare: an argument of 32 bits has no others.
    private static func isMet(_ condition: JSONValue, _ call: Syscall, _ arguments: [UInt64]) -> Bool {
        let index = Int(condition["index"]?.integer ?? 0)
        let width: UInt64 =
            switch call.width(ofArgument: index) {
            case .bits64: .max
            case .bits32: 0xFFFF_FFFF
            case .bits16: 0xFFFF
            }
        let argument = arguments[index] & width
        func number(_ name: String) -> UInt64 {
            guard case .number(let number)? = condition[name] else { return 0 }
            return UInt64(number.literal) ?? 0
        }
        let value = number("value")
        switch condition["op"]?.string {
        case "SCMP_CMP_NE": return argument != value & width
        case "SCMP_CMP_LT": return argument < value
        case "SCMP_CMP_LE": return argument <= value
        case "SCMP_CMP_EQ": return argument == value & width
        case "SCMP_CMP_GE": return argument >= value
        case "SCMP_CMP_GT": return argument > value
        default: return argument & value == number("valueTwo") & width
        }
    }
}
