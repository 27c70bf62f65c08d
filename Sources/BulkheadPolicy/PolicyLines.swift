/// The lines of a policy file in which the keys stand that decide on system calls.
public struct PolicyLines: Sendable {
    /// The file, for messages.
    public let file: String
    let preset: Int?
    let network: Int?
    /// The line of each entry of `allow` and `deny`, in order.
    let allow: [Int]
    let deny: [Int]

    /// Finds the lines in a policy that has been read without an error.
    ///
    /// - Parameters:
    ///   - bytes: The policy's text.
    ///   - file: The file, for messages.
    /// - Throws: What is wrong with the text as YAML.
    public init(_ bytes: [UInt8], file: String) throws(PolicyDiagnostics) {
        self.file = file
        let sandbox = try YAMLSource.read(bytes, file: file)?["sandbox"]
        preset = sandbox?["preset"]?.position.line
        network = sandbox?["network"]?.position.line
        allow = sandbox?["syscalls"]?["allow"]?.elements.map(\.position.line) ?? []
        deny = sandbox?["syscalls"]?["deny"]?.elements.map(\.position.line) ?? []
    }
}

extension YAMLNode {
    /// What stands under a key, where this is a mapping that has it.
    fileprivate subscript(key: String) -> YAMLNode? {
        guard case .mapping(let members) = content else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// The elements, where this is a list.
    fileprivate var elements: [YAMLNode] {
        guard case .sequence(let elements) = content else { return [] }
        return elements
    }
}
