/// A path as the kernel takes it: bytes, parted by slashes.
///
/// Swift compares texts by characters, and to it a slash with a combining mark behind it is one character, and two
/// spellings of one letter are the same text; to the kernel they are other names. So whoever compares or cuts paths
/// does it here.
public struct PathName: Sendable, Hashable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The path as it was written.
    public let text: String

    /// Takes a path as it is written.
    public init(_ text: some StringProtocol) { self.text = String(text) }

    /// A path of the code's own.
    public init(stringLiteral value: String) { text = value }

    private static let slash = UInt8(ascii: "/")

    /// The path as it was written.
    public var description: String { text }

    /// Whether it begins at the root.
    public var isAbsolute: Bool { text.utf8.first == Self.slash }

    /// The names in it, in order, without empty ones.
    public var parts: [String] { text.unicodeScalars.split(separator: "/").map { String($0) } }

    /// The last name in it; the path itself where there is none.
    public var name: String { parts.last ?? text }

    /// The path without its last name; nil for the root and for a name alone.
    public var folder: PathName? {
        guard let last = text.utf8.lastIndex(of: Self.slash), text.utf8.count > 1 else { return nil }
        return last == text.utf8.startIndex ? "/" : PathName(text[..<last])
    }

    /// Whether it leads to something in a folder, however deep; neither path holds `.`, `..` or a slash at its end.
    public func isBelow(_ folder: PathName) -> Bool {
        let above = folder.text.utf8.last == Self.slash ? folder.text : folder.text + "/"
        return text.utf8.count > above.utf8.count && text.utf8.starts(with: above.utf8)
    }

    /// Whether it is a folder's own path or leads to something in it.
    public func isIn(_ folder: PathName) -> Bool { self == folder || isBelow(folder) }

    /// The path of a name in this folder.
    public func appending(_ name: some StringProtocol) -> PathName {
        PathName(text.utf8.last == Self.slash ? text + name : text + "/" + name)
    }

    /// Whether both are the same bytes.
    public static func == (left: PathName, right: PathName) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    /// Whether the bytes of the first come before those of the second.
    public static func < (left: PathName, right: PathName) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    /// Takes the bytes in.
    public func hash(into hasher: inout Hasher) {
        for byte in text.utf8 { hasher.combine(byte) }
        hasher.combine(0xFF as UInt8)
    }
}
