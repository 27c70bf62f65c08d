import BulkheadCore

/// The first line of a script, read as the kernel reads it.
struct Shebang: Equatable {
    /// Why the line names no interpreter.
    enum Problem: Error, Equatable {
        case empty
        case tooLong
        case carriageReturn
        case relative(String)
    }

    /// Bytes of a file that the kernel looks at (BINPRM_BUF_SIZE).
    static let kernelBytes = 256

    var interpreter: String
    /// All that follows, as the one argument that the kernel makes of it.
    var argument: String?

    static func isScript(_ head: [UInt8]) -> Bool {
        head.starts(with: "#!".utf8)
    }

    /// Reads the line.
    /// - Parameter head: The file's first bytes, beginning with `#!`.
    /// - Returns: Interpreter and argument.
    /// - Throws: ``Problem``.
    static func read(_ head: [UInt8]) throws(Problem) -> Shebang {
        let seen = head.prefix(kernelBytes)
        let line = seen.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }
        let ends = line.endIndex < seen.endIndex || head.count < kernelBytes
        let words = line.drop(while: isBlank)
        let path = words.prefix { !isBlank($0) }
        // The kernel would take a cut line as it is, and so run something that nobody wrote.
        guard ends else { throw .tooLong }
        guard line.last != UInt8(ascii: "\r") else { throw .carriageReturn }
        guard !path.isEmpty else { throw .empty }
        let interpreter = String(decoding: path, as: UTF8.self)
        guard PathName(interpreter).isAbsolute else { throw .relative(interpreter) }
        var rest = words[path.endIndex...].drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return Shebang(
            interpreter: interpreter,
            argument: rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self)
        )
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }
}

extension Shebang {
    /// The command that `env` would run, where the line is of the kind `#!/usr/bin/env NAME`.
    enum EnvCommand: Equatable {
        /// The line does not name `env`.
        case none
        /// `env` runs this program with these arguments.
        case program(String, [String])
        /// `env` is asked for more than finding a program, such as setting a variable: it must run itself.
        case needsEnv
        /// The line gives `env` several words without `-S`, so it would look for a program of that whole name.
        case missingSplit(String)
    }

    /// What `env` would do with the line.
    var envCommand: EnvCommand {
        guard ["/usr/bin/env", "/bin/env"].contains(interpreter) else { return .none }
        guard let argument else { return .needsEnv }
        guard argument.hasPrefix("-S") || argument.hasPrefix("--split-string=") else {
            return plain(argument)
        }
        let text = argument.hasPrefix("-S") ? argument.dropFirst(2) : argument.dropFirst(15)
        guard let words = Self.split(String(text)), let name = words.first else { return .needsEnv }
        return name.hasPrefix("-") || name.contains("=")
            ? .needsEnv : .program(name, Array(words.dropFirst()))
    }

    private func plain(_ argument: String) -> EnvCommand {
        if argument.hasPrefix("-") || argument.contains("=") { return .needsEnv }
        let blank = argument.contains { $0 == " " || $0 == "\t" }
        return blank ? .missingSplit(argument) : .program(argument, [])
    }

    /// Splits as `env -S` does; nil where it would do more than split at blanks and take off plain quotes.
    private static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in text {
            switch character {
            case "\\", "$", "#": return nil
            case "'", "\"":
                if quote == nil {
                    quote = character
                    word = word ?? ""
                } else if quote == character {
                    quote = nil
                } else {
                    word?.append(character)
                }
            case " " where quote == nil, "\t" where quote == nil:
                if let ended = word { words.append(ended) }
                word = nil
            default: word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { return nil }
        if let ended = word { words.append(ended) }
        return words
    }
}
