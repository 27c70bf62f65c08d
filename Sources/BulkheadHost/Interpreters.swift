import BulkheadCore
import Foundation

/// How a handler's bytes are executed.
struct Execution: Equatable {
    var kind: HandlerFile.Kind
    /// Program and arguments that go before the handler's own path; empty for a program of its own.
    var interpreter: [String] = []
    /// Whether the interpreter will exec another program before the script runs.
    var needsSecondExec = false
}

/// Finds out how a handler is executed, and says early what would make its exec fail.
struct Interpreters {
    /// Folders in which the name of an interpreter is looked for.
    let searchPath: [String]

    /// Decides from a handler's first bytes.
    /// - Parameters:
    ///   - head: The first bytes, 64 KiB where it has them.
    ///   - size: The whole size.
    ///   - path: Where the handler lies, for messages.
    /// - Returns: How to execute it.
    /// - Throws: ``BulkheadError`` with the code `typeRefused`.
    func execution(of head: [UInt8], size: UInt64, path: String) throws(BulkheadError) -> Execution {
        if ELFHeader.isELF(head) {
            try checkELF(head, size: size, path: path)
            return Execution(kind: .elf)
        }
        guard Shebang.isScript(head) else {
            throw Self.refusal(
                "\(path) is neither a program of this machine nor a script",
                "begin a script with a line such as #!/bin/sh or #!/usr/bin/env python3"
            )
        }
        return try script(try line(of: head, path), path)
    }

    private static func refusal(_ message: String, _ advice: String) -> BulkheadError {
        BulkheadError(.typeRefused, message, advice: advice)
    }

    private func checkELF(_ head: [UInt8], size: UInt64, path: String) throws(BulkheadError) {
        let header: ELFHeader
        do throws(ELFHeader.Problem) {
            header = try ELFHeader.read(head, size: size)
        } catch {
            throw Self.refusal(for: error, path)
        }
        guard let loader = header.interpreter else { return }
        guard let status = try? FileStatus.of(loader, 0), status.kind == .file, status.mode & 0o111 != 0
        else {
            throw Self.refusal(
                "\(path) needs the dynamic loader \(loader), which is not on this host",
                "build it for this system's C library, or link it statically"
            )
        }
    }

    private static func refusal(for problem: ELFHeader.Problem, _ path: String) -> BulkheadError {
        switch problem {
        case .truncated:
            refusal("\(path) is a broken ELF file: it ends too early", "copy or build it again")
        case .otherMachine(let name):
            refusal(
                "\(path) is a program for \(name), and this machine is \(ELFHeader.machineName)",
                "build it for \(ELFHeader.machineName)"
            )
        case .notExecutable:
            refusal(
                "\(path) is an ELF file that cannot be executed, such as an object file or a core",
                "put the linked program there"
            )
        }
    }

    private func line(of head: [UInt8], _ path: String) throws(BulkheadError) -> Shebang {
        do throws(Shebang.Problem) {
            return try Shebang.read(head)
        } catch {
            switch error {
            case .empty:
                throw Self.refusal(
                    "the first line of \(path) names no interpreter",
                    "write a line such as #!/bin/sh"
                )
            case .tooLong:
                throw Self.refusal(
                    "the first line of \(path) is longer than the \(Shebang.kernelBytes) bytes that the kernel reads",
                    "shorten it"
                )
            case .carriageReturn:
                throw Self.refusal(
                    "the first line of \(path) ends in a carriage return, as files from Windows do",
                    "run sed -i 's/\\r$//' \(ShellWord.quote(path))"
                )
            case .relative(let interpreter):
                throw Self.refusal(
                    "the first line of \(path) names the interpreter \"\(interpreter)\" without its folder",
                    "write #!/usr/bin/env \(interpreter)"
                )
            }
        }
    }

    private func script(_ line: Shebang, _ path: String) throws(BulkheadError) -> Execution {
        switch line.envCommand {
        case .none:
            return try interpreted([line.interpreter] + (line.argument.map { [$0] } ?? []), path)
        case .needsEnv:
            var execution = try interpreted([line.interpreter] + (line.argument.map { [$0] } ?? []), path)
            execution.needsSecondExec = true
            return execution
        case .program(let name, let arguments):
            return try interpreted([try find(name, path)] + arguments, path)
        case .missingSplit(let words):
            throw Self.refusal(
                "the first line of \(path) has env look for a program named \"\(words)\"",
                "write #!/usr/bin/env -S \(words)"
            )
        }
    }

    private func find(_ name: String, _ path: String) throws(BulkheadError) -> String {
        guard !name.contains("/") else { return name }
        for folder in searchPath {
            let candidate = folder + "/" + name
            if let status = try? FileStatus.of(candidate, 0), status.kind == .file, status.mode & 0o111 != 0 {
                return candidate
            }
        }
        throw Self.refusal(
            "\(path) needs \"\(name)\", which is in none of \(searchPath.joined(separator: ", "))",
            "install the package that brings it, or name its full path in the first line"
        )
    }

    private func interpreted(_ command: [String], _ path: String) throws(BulkheadError) -> Execution {
        let interpreter = command[0]
        let status: FileStatus
        do throws(SystemFailure) {
            status = try FileStatus.of(interpreter, 0)
        } catch {
            throw Self.refusal(
                "\(path) needs the interpreter \(interpreter), which cannot be found",
                "install the package that brings it, or mend the script's first line"
            )
        }
        guard status.kind == .file, status.mode & 0o111 != 0 else {
            throw Self.refusal(
                "the interpreter \(interpreter) of \(path) is not executable",
                "name an executable program in the script's first line"
            )
        }
        guard status.mode & 0o002 == 0 else {
            throw Self.refusal(
                "the interpreter \(interpreter) of \(path) is writable by everybody (mode \(status.modeText))",
                "run chmod o-w \(ShellWord.quote(interpreter))"
            )
        }
        return Execution(kind: .script, interpreter: command, needsSecondExec: Self.isScript(interpreter))
    }

    /// Whether an interpreter is itself a script; one that cannot be read is taken for a program.
    private static func isScript(_ path: String) -> Bool {
        guard let file = try? OpenDescriptor.open(path, O_RDONLY | O_NONBLOCK),
            let head = try? file.read(atMost: 2)
        else { return false }
        return Shebang.isScript(head)
    }
}
