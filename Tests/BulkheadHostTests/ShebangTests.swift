import Testing

@testable import BulkheadHost

@Suite("Shebang")
struct ShebangTests {
    private static func read(_ text: String) -> Result<Shebang, Shebang.Problem> {
        do throws(Shebang.Problem) {
            return .success(try Shebang.read(Array(text.utf8)))
        } catch {
            return .failure(error)
        }
    }

    @Test(
        "the line is taken apart as the kernel does",
        arguments: [
            ("#!/bin/sh\necho", "/bin/sh", nil),
            ("#!/bin/sh", "/bin/sh", nil),
            ("#! \t/bin/sh \t \n", "/bin/sh", nil),
            ("#!/bin/sh -e\n", "/bin/sh", "-e"),
            ("#!/bin/sh -e  -u \n", "/bin/sh", "-e  -u"),
            ("#!/bin/sh\0rest\n", "/bin/sh", nil),
        ] as [(String, String, String?)]
    )
    func lines(_ text: String, _ interpreter: String, _ argument: String?) {
        #expect(Self.read(text) == .success(Shebang(interpreter: interpreter, argument: argument)))
    }

    @Test("a line that names no interpreter is refused by its kind")
    func problems() {
        #expect(Self.read("#!\n/bin/sh") == .failure(.empty))
        #expect(Self.read("#!  \t\n") == .failure(.empty))
        #expect(Self.read("#!/bin/sh\r\n") == .failure(.carriageReturn))
        #expect(Self.read("#!python3\n") == .failure(.relative("python3")))
    }

    @Test("a line fits the kernel's 256 bytes or is refused")
    func length() {
        let fits = "#!/" + String(repeating: "x", count: 252) + "\n"
        #expect(Self.read(fits + "more").map(\.argument) == .success(nil))
        #expect(Self.read("#!/" + String(repeating: "x", count: 253) + "\n") == .failure(.tooLong))
        #expect(Self.read("#!/bin/sh " + String(repeating: "x", count: 300)) == .failure(.tooLong))
    }

    @Test("only #! begins a script")
    func scripts() {
        #expect(Shebang.isScript(Array("#!".utf8)))
        #expect(!Shebang.isScript(Array("# !/bin/sh".utf8)))
        #expect(!Shebang.isScript([]))
    }

    @Test(
        "env's line names the program that env would run",
        arguments: [
            ("/usr/bin/env python3", .program("python3", [])),
            ("/bin/env node", .program("node", [])),
            ("/usr/bin/env -S python3 -u", .program("python3", ["-u"])),
            ("/usr/bin/env -Spython3  -u", .program("python3", ["-u"])),
            ("/usr/bin/env --split-string=deno run -A", .program("deno", ["run", "-A"])),
            ("/usr/bin/env -S awk -f 'a b' \"c\" ''", .program("awk", ["-f", "a b", "c", ""])),
            ("/usr/bin/env python3 -u", .missingSplit("python3 -u")),
            ("/usr/bin/env", .needsEnv),
            ("/usr/bin/env -i", .needsEnv),
            ("/usr/bin/env A=1", .needsEnv),
            ("/usr/bin/env -S A=1 python3", .needsEnv),
            ("/usr/bin/env -S -i python3", .needsEnv),
            ("/usr/bin/env -S python3 ${X}", .needsEnv),
            ("/usr/bin/env -S python3 'open", .needsEnv),
            ("/usr/bin/env -S", .needsEnv),
            ("/usr/bin/python3 -u", .none),
            ("/opt/env x", .none),
        ] as [(String, Shebang.EnvCommand)]
    )
    func env(_ line: String, _ command: Shebang.EnvCommand) throws {
        #expect(try Shebang.read(Array("#!\(line)\n".utf8)).envCommand == command)
    }
}
