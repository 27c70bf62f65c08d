import BulkheadCore
import Foundation
import Testing

/// What the command does without a supervisor: usage, settings, the offline verbs, and where it looks for one.
@Suite("Command line", .serialized)
struct CommandLineTests {
    private func run(
        _ bench: Workbench,
        _ arguments: String...,
        environment: [String: String] = [:],
        stdin: String = ""
    ) async throws -> ChildProcess.Result {
        try await bench.run(arguments, stdin: stdin, environment: environment).result()
    }

    // MARK: Usage

    @Test("help goes to stdout and ends with 0, wrong usage to stderr and ends with 2")
    func usage() async throws {
        let bench = try Workbench()
        let help = try await run(bench, "submit", "--help")
        #expect(help.code == 0 && help.out.contains("--params") && help.err.isEmpty)
        for arguments in [
            ["nosuch"], ["submit"], ["show", "abc"], ["list", "--status", "done"], ["list", "--limit", "0"],
            ["wait", "0192f3a4", "--timeout", "5"], ["logs", "0192f3a4", "--stream", "stdin"],
            ["submit", "../x"], ["submit", "x", "--id", "42"],
        ] {
            let wrong = try await bench.run(arguments).result()
            #expect(wrong.code == 2 && wrong.out.isEmpty && !wrong.err.isEmpty, "\(arguments): \(wrong)")
        }
    }

    @Test("params that are no JSON, or too large, are refused before anybody is asked")
    func wrongParams() async throws {
        let bench = try Workbench()
        let malformed = try await run(bench, "submit", "x", "--params", #"{"a":1,"a":2}"#)
        #expect(malformed.code == 2 && malformed.err.contains("there twice at byte 7"))
        let large = "\"" + String(repeating: "x", count: 1 << 20) + "\""
        let tooLarge = try await run(bench, "submit", "x", "--params", "-", stdin: large)
        #expect(tooLarge.code == 2 && tooLarge.err.contains("more than 1MiB"))
        let nested = String(repeating: "[", count: 100_000)
        try bench.write(nested, to: "deep.json")
        let tooDeep = try await run(bench, "submit", "x", "--params", "@deep.json")
        #expect(tooDeep.code == 2 && tooDeep.err.contains("deep.json is not JSON: it nests deeper than 64"))
        let missing = try await run(bench, "submit", "x", "--params", "@nosuch.json")
        #expect(missing.code == 2 && missing.err.contains("nosuch.json cannot be read"))
    }

    @Test("a closed pipe ends the command quietly, a full disk does not")
    func brokenOutput() async throws {
        let bench = try Workbench()
        let program = Workbench.programs + "/bulkhead"
        func shell(_ script: String) async throws -> ChildProcess.Result {
            try await ChildProcess(
                "/bin/sh",
                ["-c", script],
                environment: ["B": program, "PATH": "/usr/bin:/bin"],
                folder: bench.folder
            )
            .result()
        }
        let closed = try await shell(
            """
            mkfifo go
            { read _ < go; "$B" policy show x --json; echo "code $?" >&2; } | { exec <&-; echo > go; }
            """
        )
        #expect(closed.err == "code 141\n")
        let full = try await shell(#""$B" policy show x > /dev/full"#)
        #expect(
            full.code == 70 && full.err.contains("standard output cannot be written: No space left on device")
        )
    }

    // MARK: Settings

    @Test("a setting that is wrong is told with name, value and source")
    func wrongValues() async throws {
        let bench = try Workbench()
        let cases: [(variable: String, value: String, reason: String)] = [
            ("BULKHEAD_SPOOL_CAP", "64MB?", #""64MB?" is not a size; write a whole number and a unit"#),
            (
                "BULKHEAD_SPOOL_CAP", "1KiB",
                "the spool must hold the terminal reserve of 1MiB and one final message"
            ),
            ("BULKHEAD_RESULT_LIMIT", "1GiB", "a result has from 1B to 188KiB"),
            ("BULKHEAD_DRAIN", "-5s", #""-5s" is not a duration"#),
            ("BULKHEAD_DYNAMIC_UIDS", "0-7", "users that are not ours to give"),
            ("BULKHEAD_LISTEN", "0.0.0.0:80", "listening on TCP is not there yet"),
            ("BULKHEAD_SCRATCH", "/run/x", "handlers cannot run from below /run"),
            ("BULKHEAD_STATE", "", "a path is missing"),
        ]
        for (variable, value, reason) in cases {
            let wrong = try await run(bench, "serve", environment: [variable: value])
            #expect(wrong.code == 2)
            #expect(wrong.err.hasPrefix("bulkhead: \(variable)=\(value) (environment): "), "\(wrong.err)")
            #expect(wrong.err.contains(reason), "\(wrong.err)")
        }
        let flag = try await run(
            bench,
            "serve",
            "--spool-cap",
            "64MB?",
            environment: ["BULKHEAD_SPOOL_CAP": "1MiB"]
        )
        #expect(flag.code == 2 && flag.err.hasPrefix("bulkhead: --spool-cap=64MB? (flag): "))
    }

    @Test("a setting that is not in force yet is refused by name")
    func notInForce() async throws {
        let bench = try Workbench()
        for (flag, value) in [
            ("--token-file", "/x")
        ] {
            let refused = try await run(bench, "serve", flag, value)
            #expect(refused.code == 2)
            #expect(refused.err.hasPrefix("bulkhead: \(flag)=\(value) (flag): "), "\(refused.err)")
        }
    }

    @Test("a name that nobody knows is refused with the nearest one, in the environment and in the file")
    func unknownNames() async throws {
        let bench = try Workbench()
        let variable = try await run(bench, "serve", environment: ["BULKHEAD_SPOL_CAP": "64MiB"])
        #expect(variable.code == 2)
        #expect(variable.err.contains("BULKHEAD_SPOL_CAP=64MiB (environment)"))
        #expect(variable.err.contains("did you mean BULKHEAD_SPOOL_CAP?"))
        try bench.write("drain: 5s\nspol-cap: 64MiB\n", to: "bulkhead.yaml")
        let key = try await run(bench, "list")
        #expect(key.code == 2)
        #expect(key.err.contains("spol-cap=64MiB (./bulkhead.yaml:2:1)"))
        #expect(key.err.contains("did you mean spool-cap?"))
    }

    @Test("the config file is read as strictly as a policy")
    func strictFile() async throws {
        let bench = try Workbench()
        for (text, reason) in [
            ("spool-cap: 64MB?\n", "spool-cap=64MB? (./bulkhead.yaml:1:1): \"64MB?\" is not a size"),
            ("listen: unix:a\n", "./bulkhead.yaml:1:9: listen is a list"),
            ("drain: [5s]\n", "./bulkhead.yaml:1:8: drain is a single value"),
            ("state: &a x\nplugins: *a\n", "./bulkhead.yaml:2:10: aliases (*) are not taken"),
            ("drain: 5s\ndrain: 6s\n", "the key \"drain\" is there twice"),
            ("- drain\n", "./bulkhead.yaml:1:1: the file is a list"),
        ] {
            try bench.write(text, to: "bulkhead.yaml")
            let wrong = try await run(bench, "serve")
            #expect(wrong.code == 2 && wrong.err.contains(reason), "\(wrong.err)")
        }
        try bench.write("drain: 5s\n", to: "bulkhead.yaml", mode: 0o666)
        let writable = try await run(bench, "serve")
        #expect(writable.code == 2 && writable.err.contains("writable by"), "\(writable.err)")
    }

    @Test("inside a handler the protocol's own variables are no settings")
    func insideHandler() async throws {
        let bench = try Workbench()
        let handler = [
            "BULKHEAD_TASK_ID": "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6", "BULKHEAD_TASK_TYPE": "x",
            "BULKHEAD_RUN": "1", "BULKHEAD_ATTEMPT": "1", "BULKHEAD_SCRATCH": "/run/x",
            "BULKHEAD_EVENTS_FD": "3", "BULKHEAD_PLUGIN_DIR": "/x", "BULKHEAD_DEADLINE": "x",
        ]
        #expect(try await run(bench, "list", environment: handler).code == 69)
        #expect(try await run(bench, "list", environment: ["BULKHEAD_RUN": "1"]).code == 2)
    }

    // MARK: No supervisor

    @Test("where nobody answers, it says where it looked and how to start one")
    func noSupervisor() async throws {
        let bench = try Workbench()
        let nobody = try await run(bench, "list")
        #expect(nobody.code == 69 && nobody.out.isEmpty)
        #expect(nobody.err.contains(bench.folder + "/.bulkhead/bulkhead.sock or /run/bulkhead/bulkhead.sock"))
        #expect(nobody.err.contains("bulkhead serve"))
        for (environment, path) in [
            (["BULKHEAD_STATE": "s"], "/s/bulkhead.sock"), (["BULKHEAD_LISTEN": "unix:l.sock"], "/l.sock"),
        ] {
            let named = try await run(bench, "list", environment: environment)
            #expect(
                named.code == 69 && named.err.contains("answers at \(bench.folder)\(path)\n"),
                "\(named.err)"
            )
        }
        try bench.write("listen: [\"unix:f.sock\"]\n", to: "bulkhead.yaml")
        let filed = try await run(bench, "list")
        #expect(filed.code == 69 && filed.err.contains("answers at \(bench.folder)/f.sock\n"), "\(filed.err)")
    }

    @Test("a socket's path that is too long for Linux is said to be", arguments: ["list", "status"])
    func longPath(verb: String) async throws {
        let bench = try Workbench()
        let long = try await run(bench, verb, "--socket", "/tmp/" + String(repeating: "x", count: 120))
        #expect(long.code == 2 && long.err.contains("too long for Linux (107 bytes)"))
    }

    // MARK: Policies

    @Test("policy check tells everything that is wrong with file, line and column, and ends with 1")
    func policyCheck() async throws {
        let bench = try Workbench()
        try bench.policy("good", "timeout: 5s\n")
        let good = try await run(bench, "policy", "check")
        #expect(good.code == 0 && good.out.isEmpty)
        try bench.policy("bad", "pol: x\ntimeout: -5s\nsandbox: {syscalls: {allow: [ptrce]}}\n")
        try bench.policy("pools.yaml", "media: {concurency: 2}\n")
        try bench.policy("late.yml", "timeout: 5s\n")
        let wrong = try await run(bench, "policy", "check")
        #expect(wrong.code == 1)
        for line in [
            "bad.yaml:1:1: unknown key \"pol\"; did you mean \"pool\"?", "bad.yaml:2:10: ", "bad.yaml:3:30: ",
            "pools.yaml:1:9: ", "late.yml:1:1: ",
        ] {
            #expect(wrong.out.contains(bench.policies + "/" + line), "\(line) in \(wrong.out)")
        }
        let document = try JSONParser.parse(try await run(bench, "policy", "check", "--json").stdout)
        #expect(document["files"]?.array?.count == 4)
        #expect(document["files"]?.array?.filter { $0["ok"]?.bool == true }.count == 1)
        let missing = try await run(bench, "policy", "check", "nosuch.yaml")
        #expect(missing.code == 3)
    }

    @Test("policy show prints a policy that is the same policy again")
    func policyShow() async throws {
        let bench = try Workbench()
        try bench.policy("media", "pool: media\nsandbox: {preset: network, syscalls: {deny: [ptrace]}}\n")
        let shown = try await run(bench, "policy", "show", "media")
        #expect(shown.code == 0 && shown.out.contains("network: host\n"))
        try bench.policy("again", shown.out)
        // What follows the policy names the file's own lines.
        func policy(_ text: String) -> Substring { text.split(separator: "\n# ", maxSplits: 1)[0] }
        let again = try await run(bench, "policy", "show", "again").out
        #expect(policy(again) == policy(shown.out))
        #expect(again.contains("again.yaml:9: preset network gives it:"), "\(again)")
        let builtIn = try await run(bench, "policy", "show", "nosuch")
        #expect(builtIn.code == 0 && builtIn.err.contains("the built-in default policy holds"))
        let document = try JSONParser.parse(try await run(bench, "policy", "show", "media", "--json").stdout)
        #expect(document["policy"]?["pool"] == .string("media"))
        #expect(document["policy"]?["priority"] == .integer(0))
    }

    @Test("policy show --syscall gives the verdict and the line that decides")
    func policySyscall() async throws {
        let bench = try Workbench()
        try bench.policy("media", "sandbox: {syscalls: {allow: [\"@mount\"], deny: [ptrace, umount2]}}\n")
        for (call, verdict, reason) in [
            ("openat", "allow", "preset default gives it"),
            ("mount", "allow", "sandbox.syscalls.allow has @mount"),
            ("umount2", "errno", "sandbox.syscalls.deny has umount2"), ("bpf", "errno", "does not give it"),
            ("socket", "errno", "does not give it"), ("socketpair", "conditional", "network: none"),
            ("clone3", "unimplemented", "no filter sees"),
        ] {
            let answer = try await run(bench, "policy", "show", "media", "--syscall", call, "--json")
            let document = try JSONParser.parse(answer.stdout)
            #expect(document["verdict"] == .string(verdict), "\(call)")
            #expect(document["reason"]?.string?.contains(reason) == true, "\(call): \(answer.out)")
        }
        let unknown = try await run(bench, "policy", "show", "media", "--syscall", "ptrce")
        #expect(unknown.code == 2 && unknown.err.contains("did you mean ptrace?"))
    }
}
