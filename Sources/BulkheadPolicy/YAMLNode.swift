/// A place in a file, counted from 1.
public struct YAMLPosition: Sendable, Hashable {
    /// The line.
    public let line: Int
    /// The column in characters.
    public let column: Int

    /// Makes a position.
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// A value of a YAML file, as text that no rule has guessed a type for, and where it stands.
public struct YAMLNode: Sendable, Equatable {
    /// What kinds of value there are.
    public enum Content: Sendable, Equatable {
        /// Nothing was written.
        case empty
        /// A text, plain or quoted; the reader of its key decides what it is.
        case scalar(String)
        /// Values in order.
        case sequence([YAMLNode])
        /// Keys and their values in order; no key is there twice.
        case mapping([YAMLMember])
    }

    /// The value.
    public let content: Content
    /// Where it begins.
    public let position: YAMLPosition

    /// Makes a node.
    public init(_ content: Content, at position: YAMLPosition) {
        self.content = content
        self.position = position
    }

    /// What kind of value this is, for messages: `a list`.
    public var kind: String {
        switch content {
        case .empty: "nothing"
        case .scalar: "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// A key of a YAML mapping and its value.
public struct YAMLMember: Sendable, Equatable {
    /// The key.
    public let key: String
    /// Where the key begins.
    public let position: YAMLPosition
    /// What stands under it.
    public let value: YAMLNode

    /// Makes a member.
    public init(key: String, at position: YAMLPosition, value: YAMLNode) {
        self.key = key
        self.position = position
        self.value = value
    }
}
