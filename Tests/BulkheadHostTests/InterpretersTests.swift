import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

@Suite("Interpreters")
struct InterpretersTests {
    private static func execution(
        of text: String,
        path: [String] = ["/usr/bin", "/bin"]
    ) throws(BulkheadError) -> Execution {
        let bytes = Array(text.utf8)
        return try Interpreters(searchPath: path).execution(
            of: bytes,
            size: UInt64(bytes.count),
            path: "plugins/job"
        )
    }

    @Test("an interpreter with its one argument goes before the script")
    func direct() throws {
        #expect(
            try Self.execution(of: "#!/bin/sh -e -u\n")
                == Execution(kind: .script, interpreter: ["/bin/sh", "-e -u"])
        )
    }

    @Test("env's program is found on the fixed path, in its order")
    func env() throws {
        let folder = try HostFolder()
        try folder.folder("first")
        try folder.folder("second")
        try folder.file("first/tool", "no program", mode: 0o644)
        try folder.folder("first/other")
        for name in ["tool", "other"] { try folder.file("second/\(name)", "\u{7F}ELF", mode: 0o755) }
        let path = [folder("none"), folder("first"), folder("second")]
        for name in ["tool", "other"] {
            #expect(
                try Self.execution(of: "#!/usr/bin/env -S \(name) -u 'a b'\n", path: path)
                    == Execution(kind: .script, interpreter: [folder("second/\(name)"), "-u", "a b"])
            )
        }
    }

    @Test("what env must do itself, and an interpreter that is a script, need a second exec")
    func secondExec() throws {
        let folder = try HostFolder()
        let wrapper = try folder.file("wrapper", "#!/bin/sh\n", mode: 0o755)
        let wrapped = try Self.execution(of: "#!\(wrapper) x\n")
        #expect(wrapped == Execution(kind: .script, interpreter: [wrapper, "x"], needsSecondExec: true))
        let set = try Self.execution(of: "#!/usr/bin/env -S A=1 sh\n")
        #expect(set.interpreter == ["/usr/bin/env", "-S A=1 sh"])
        #expect(set.needsSecondExec)
        #expect(try !Self.execution(of: "#!/usr/bin/env sh\n").needsSecondExec)
    }

    @Test(
        "what cannot be executed is refused with the way out",
        arguments: [
            ("hello", "plugins/job is neither a program of this machine nor a script", "#!/bin/sh"),
            (
                "#!/no/such/python4\n",
                "plugins/job needs the interpreter /no/such/python4, which cannot be found",
                "install the package"
            ),
            (
                "#!/usr/bin/env no-such-python4\n",
                "plugins/job needs \"no-such-python4\", which is in none of /usr/bin, /bin",
                "install the package"
            ),
            (
                "#!/usr/bin/env sh -e\n",
                "the first line of plugins/job has env look for a program named \"sh -e\"",
                "write #!/usr/bin/env -S sh -e"
            ),
            (
                "#!/etc/passwd\n", "the interpreter /etc/passwd of plugins/job is not executable",
                "name an executable"
            ),
            ("#!/tmp\n", "the interpreter /tmp of plugins/job is not executable", "name an executable"),
            (
                "#!/bin/sh\r\n",
                "the first line of plugins/job ends in a carriage return, as files from Windows do",
                "run sed -i 's/\\r$//' plugins/job"
            ),
            (
                "#!python3\n",
                "the first line of plugins/job names the interpreter \"python3\" without its folder",
                "write #!/usr/bin/env python3"
            ),
            ("#!\n", "the first line of plugins/job names no interpreter", "#!/bin/sh"),
        ]
    )
    func refusals(_ text: String, _ message: String, _ advice: String) {
        let error = refusal { () throws(BulkheadError) in try Self.execution(of: text) }
        #expect(error?.code == .typeRefused)
        #expect(error?.message == message)
        #expect(error?.advice?.contains(advice) == true)
    }

    @Test("an interpreter that everybody can write is refused")
    func writableInterpreter() throws {
        let folder = try HostFolder()
        let tool = try folder.file("tool", "\u{7F}ELF", mode: 0o757)
        let error = refusal { () throws(BulkheadError) in try Self.execution(of: "#!\(tool)\n") }
        #expect(
            error?.message == "the interpreter \(tool) of plugins/job is writable by everybody (mode 0757)"
        )
    }

    @Test("a program whose loader is missing, that is cut or for another machine is refused")
    func programs() {
        let interpreters = Interpreters(searchPath: [])
        func error(_ bytes: [UInt8]) -> BulkheadError? {
            refusal { () throws(BulkheadError) in
                try interpreters.execution(of: bytes, size: UInt64(bytes.count), path: "plugins/job")
            }
        }
        #expect(
            error(ELFHeaderTests.program(loader: "/lib/ld-none.so"))?.message
                == "plugins/job needs the dynamic loader /lib/ld-none.so, which is not on this host"
        )
        #expect(
            error(Array(ELFHeaderTests.program().dropLast()))?.message
                == "plugins/job is a broken ELF file: it ends too early"
        )
        #expect(
            error(ELFHeaderTests.program(machine: 243))?.message
                == "plugins/job is a program for riscv, and this machine is \(ELFHeader.machineName)"
        )
        #expect(error(ELFHeaderTests.program(kind: 1))?.message.contains("cannot be executed") == true)
    }
}
