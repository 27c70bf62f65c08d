import BulkheadCore

/// A handler as it was checked: its file, the copy of its bytes that runs, and how that copy is executed.
public struct HandlerFile: Sendable, Equatable {
    /// What the file is.
    public enum Kind: String, Sendable {
        /// A program of this machine.
        case elf
        /// A script with a `#!` line.
        case script
    }

    /// The file's name in the plugins folder.
    public var name: String
    /// Where the file lay when it was checked.
    public var sourcePath: String
    /// SHA-256 of its bytes, as 64 lower-case hexadecimal digits.
    public var digest: String
    /// Its size in bytes.
    public var size: UInt64
    /// Absolute path of the copy that runs.
    public var copyPath: String
    /// What it is.
    public var kind: Kind
    /// Interpreter and its arguments, which go before the script's path; empty for a program.
    public var interpreter: [String]
    /// Whether the interpreter execs another program before the script runs, as `env` or another script does.
    public var needsSecondExec: Bool

    /// The file to execute: the interpreter, or the copy itself.
    public var executable: String { interpreter.first ?? copyPath }

    /// The whole argument vector.
    /// - Parameter added: Arguments that the policy adds.
    /// - Returns: Interpreter and its arguments where there is one, the copy's path, then the added ones.
    public func command(adding added: [String] = []) -> [String] {
        interpreter + [copyPath] + added
    }
}
