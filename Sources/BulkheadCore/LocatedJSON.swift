/// A JSON value that knows where it stands in its text.
public indirect enum LocatedJSON: Sendable, Equatable {
    /// `null`, a truth value, a number or a text.
    case scalar(JSONValue, at: Int)
    /// Values in order.
    case array([LocatedJSON], at: Int)
    /// Members, in the order in which they were written; names are unique.
    case object([Member], at: Int)

    /// One name and its value.
    public struct Member: Sendable, Equatable {
        /// The member's name.
        public let name: String
        /// The byte, counted from 0, at which the name begins.
        public let offset: Int
        /// The member's value.
        public let value: LocatedJSON
    }

    /// The byte, counted from 0, at which the value begins.
    public var offset: Int {
        switch self {
        case .scalar(_, let offset), .array(_, let offset), .object(_, let offset): offset
        }
    }
}

extension LocatedJSON: JSONTree {
    static func member(_ name: String, at offset: Int, _ value: LocatedJSON) -> Member {
        Member(name: name, offset: offset, value: value)
    }
}

extension JSONValue: JSONTree {
    static func scalar(_ value: JSONValue, at offset: Int) -> JSONValue { value }
    static func array(_ elements: [JSONValue], at offset: Int) -> JSONValue { .array(elements) }
    static func object(_ members: [JSONObject.Member], at offset: Int) -> JSONValue {
        .object(JSONObject(unique: members))
    }
    static func member(_ name: String, at offset: Int, _ value: JSONValue) -> JSONObject.Member {
        JSONObject.Member(name: name, value: value)
    }
}
