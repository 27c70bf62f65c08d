/// A JSON value that keeps what its sender wrote: the order of members and each number to the last digit.
public indirect enum JSONValue: Sendable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number.
    case number(JSONNumber)
    /// A text.
    case string(String)
    /// Values in order.
    case array([JSONValue])
    /// Members, in the order in which they were written.
    case object(JSONObject)

    /// A whole number.
    public static func integer(_ value: some BinaryInteger) -> JSONValue {
        .number(JSONNumber(unchecked: "\(value)"))
    }

    /// A number with a fraction; one that JSON cannot write is null.
    public static func decimal(_ value: Double) -> JSONValue {
        value.isFinite ? .number(JSONNumber(unchecked: "\(value)")) : .null
    }

    /// The text, where this is one.
    public var string: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The truth value, where this is one.
    public var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// The whole number, where this is one that 64 bits hold, in whatever way it was written.
    public var integer: Int64? {
        guard case .number(let number) = self else { return nil }
        return number.integer
    }

    /// The number as a floating-point value, where this is one.
    public var double: Double? {
        guard case .number(let number) = self else { return nil }
        return Double(number.literal)
    }

    /// The elements, where this is an array.
    public var array: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The members, where this is an object.
    public var object: JSONObject? {
        guard case .object(let object) = self else { return nil }
        return object
    }

    /// The member of this name, where this is an object that has it.
    public subscript(name: String) -> JSONValue? {
        object?[name]
    }
}

extension JSONValue: Equatable {
    /// Whether both are the same data: numbers by value, objects in whatever order, texts to the byte.
    ///
    /// `String` takes texts for equal that Unicode calls equivalent, but they may name two files.
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        default: false
        }
    }
}

/// The members of a JSON object in the order in which they were written; equality ignores that order.
public struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    /// One name and its value.
    public struct Member: Sendable, Equatable {
        /// The member's name.
        public var name: String
        /// The member's value.
        public var value: JSONValue
    }

    /// The members in order; names are unique.
    public private(set) var members: [Member] = []

    /// An object without members.
    public init() {}

    /// An object with these members, in this order; of a repeated name the last one holds.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (name, value) in elements { self[name] = value }
    }

    /// For the parser, which has checked that names are unique.
    init(unique members: [Member]) { self.members = members }

    /// The value under a name; setting nil removes it, setting a new name appends it.
    public subscript(name: String) -> JSONValue? {
        get { members.first { $0.name == name }?.value }
        set {
            let index = members.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(name: name, value: value))
            case (nil, nil): break
            }
        }
    }

    /// The names in order.
    public var names: [String] { members.map(\.name) }

    /// Whether both have the same members, in whatever order.
    ///
    /// Each value is compared once at most: comparing a second time, in another order, would double the work with
    /// every level of nesting.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.members.count == right.members.count else { return false }
        let inOrder = zip(left.members, right.members).allSatisfy { $0.name.utf8.elementsEqual($1.name.utf8) }
        guard !inOrder else {
            return zip(left.members, right.members).allSatisfy { $0.value == $1.value }
        }
        let others = Dictionary(right.members.map { (Array($0.name.utf8), $0.value) }) { first, _ in first }
        return left.members.allSatisfy { others[Array($0.name.utf8)] == $0.value }
    }
}

/// A JSON number as it was written; equality is by value, so `1`, `1.0` and `10e-1` are equal.
public struct JSONNumber: Sendable, Equatable {
    /// The digits as written.
    public let literal: String

    /// For literals that are known to be JSON numbers.
    init(unchecked literal: String) { self.literal = literal }

    /// The value, where it is a whole number that 64 bits hold.
    public var integer: Int64? {
        if let value = Int64(literal) { return value }
        let decimal = ExactDecimal(literal)
        guard !decimal.digits.isEmpty else { return 0 }
        guard let exponent = decimal.exponent, exponent >= 0, exponent <= 18 else { return nil }
        let zeros = String(repeating: "0", count: exponent)
        return Int64((decimal.isNegative ? "-" : "") + decimal.digits + zeros)
    }

    /// Whether both have exactly the same value.
    public static func == (left: JSONNumber, right: JSONNumber) -> Bool {
        left.literal == right.literal || ExactDecimal(left.literal) == ExactDecimal(right.literal)
    }
}

/// A decimal number brought to one form: digits without zeros at either end, and a power of ten.
private struct ExactDecimal: Equatable {
    var isNegative: Bool
    /// Empty for zero.
    var digits: String
    /// The power of ten of the last digit; nil where it does not fit, and then the text decides.
    var exponent: Int?
    /// The exponent's text where it is too long for a number.
    var oversizedExponent: Substring?

    init(_ literal: String) {
        var rest = literal[...]
        isNegative = rest.first == "-"
        if isNegative { rest.removeFirst() }
        let mantissa = rest.prefix { $0 != "e" && $0 != "E" }
        let exponentText = rest.dropFirst(mantissa.count + 1)
        let whole = mantissa.prefix { $0 != "." }
        let fraction = mantissa.dropFirst(whole.count + 1)
        var significant = (String(whole) + fraction)[...].drop { $0 == "0" }
        var shift = -fraction.count
        while significant.last == "0" {
            significant.removeLast()
            shift += 1
        }
        digits = String(significant)
        if digits.isEmpty {
            isNegative = false
            exponent = 0
        } else if exponentText.isEmpty {
            exponent = shift
        } else if let written = Int(exponentText), written.magnitude < Int.max / 4 {
            exponent = written + shift
        } else {
            oversizedExponent = exponentText
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral
{
    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }

    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// A whole number.
    public init(integerLiteral value: Int) { self = .integer(value) }

    /// An object with these members, in this order; of a repeated name the last one holds.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        var object = JSONObject()
        for (name, value) in elements { object[name] = value }
        self = .object(object)
    }

    /// An array of these elements.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
}
