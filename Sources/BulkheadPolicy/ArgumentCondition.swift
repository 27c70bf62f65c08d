/// What an argument must be: those of its bits that a mask keeps, compared with a value as unsigned numbers.
public struct ArgumentCondition: Sendable, Hashable {
    /// How an argument is compared with a value.
    public enum Comparison: String, Sendable, Hashable, CaseIterable {
        case equal = "is"
        case notEqual = "is not"
        case less = "is below"
        case lessOrEqual = "is at most"
        case greater = "is above"
        case greaterOrEqual = "is at least"
    }

    /// The argument, from 0 to 5.
    public let index: Int
    /// The bits that count.
    public let mask: UInt64
    /// How they are compared.
    public let comparison: Comparison
    /// With what.
    public let value: UInt64

    /// Makes a condition.
    ///
    /// - Parameters:
    ///   - index: The argument, from 0 to 5.
    ///   - mask: The bits that count; all, by default.
    ///   - comparison: How they are compared.
    ///   - value: With what.
    public init(_ index: Int, mask: UInt64 = .max, _ comparison: Comparison, _ value: UInt64) {
        precondition((0..<6).contains(index), "a call has six arguments")
        self.index = index
        self.mask = mask
        self.comparison = comparison
        self.value = value
    }

    /// Makes a condition of equality.
    ///
    /// - Parameters:
    ///   - index: The argument, from 0 to 5.
    ///   - mask: The bits that count; all, by default.
    ///   - value: What they must be.
    public init(_ index: Int, mask: UInt64 = .max, is value: UInt64) {
        self.init(index, mask: mask, .equal, value)
    }

    /// Whether the arguments of a call meet the condition.
    ///
    /// - Parameter arguments: All six.
    /// - Returns: Whether they do.
    public func holds(for arguments: [UInt64]) -> Bool { holds(forValue: arguments[index]) }

    /// Whether an argument of this value meets the condition.
    func holds(forValue argument: UInt64) -> Bool {
        let bits = argument & mask
        return switch comparison {
        case .equal: bits == value
        case .notEqual: bits != value
        case .less: bits < value
        case .lessOrEqual: bits <= value
        case .greater: bits > value
        case .greaterOrEqual: bits >= value
        }
    }

    /// The same condition over the bits alone that the kernel looks at: a caller may set the others at will
    /// (CVE-2019-10063).
    ///
    /// What an argument is compared with for equality is cut too, so that −1 written with 64 bits is −1 of 32.
    /// An order keeps its bound: nothing of 32 bits is above one of 33.
    func narrowed(to width: ArgumentWidth) -> ArgumentCondition {
        let isEquality = comparison == .equal || comparison == .notEqual
        return ArgumentCondition(
            index,
            mask: mask & width.mask,
            comparison,
            isEquality ? value & width.mask : value
        )
    }
}

/// A combination of arguments: all its conditions hold.
public struct ArgumentCase: Sendable, Hashable {
    /// The conditions, at most one for each argument, by ascending argument.
    public let conditions: [ArgumentCondition]

    /// Makes a combination.
    public init(_ conditions: ArgumentCondition...) {
        self.init(conditions)
    }

    init(_ conditions: [ArgumentCondition]) {
        self.conditions = conditions.sorted { $0.index < $1.index }
        precondition(
            Set(conditions.map(\.index)).count == conditions.count,
            "one condition for each argument"
        )
    }

    /// Whether the arguments of a call are this combination.
    ///
    /// - Parameter arguments: All six.
    /// - Returns: Whether they are.
    public func holds(for arguments: [UInt64]) -> Bool { conditions.allSatisfy { $0.holds(for: arguments) } }

    /// What is left to ask where some arguments are known; nil where one of those rules the combination out.
    func given(_ known: [Int: UInt64]) -> ArgumentCase? {
        var open: [ArgumentCondition] = []
        for condition in conditions {
            guard let value = known[condition.index] else {
                open.append(condition)
                continue
            }
            guard condition.holds(forValue: value) else { return nil }
        }
        return ArgumentCase(open)
    }

    /// The combination with an argument held to one exact value besides; nil where the two exclude each other.
    func holding(_ index: Int, to value: UInt64) -> ArgumentCase? {
        given([index: value]).map { ArgumentCase($0.conditions + [ArgumentCondition(index, is: value)]) }
    }

    func narrowed(by call: Syscall) -> ArgumentCase {
        ArgumentCase(conditions.map { $0.narrowed(to: call.width(ofArgument: $0.index)) })
    }
}
