import BulkheadCore
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// Where settings come from, which of them wins, and what the supervisor makes of them.
    @Suite("Settings")
    struct SettingsTests {
        /// Starts `serve` with nothing but these, in the bench's own folder.
        private static func serving(
            _ bench: Workbench,
            _ arguments: [String] = [],
            environment: [String: String] = [:],
            socket: String,
            _ body: (JSONValue) async throws -> Void
        ) async throws {
            let server = try bench.run(["serve"] + arguments, environment: environment)
            guard await server.says("ready") else {
                Issue.record("serve ended before it was ready: \(server.errorsSoFar)")
                return
            }
            do {
                let status = try await bench.run(["status", "--json", "--socket", socket]).result()
                try await body(try JSONParser.parse(status.stdout))
            } catch {
                await bench.stop(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        // MARK: Precedence

        @Test(
            "flag goes before environment, environment before file, file before default",
            .timeLimit(.minutes(5))
        )
        func precedence() async throws {
            let bench = try Workbench()
            let mebibyte: Int64 = 1 << 20
            let cases: [(file: String?, variable: String?, flag: String?, cap: Int64)] = [
                (nil, nil, nil, 64), ("8MiB", nil, nil, 8), ("8MiB", "16MiB", nil, 16),
                ("8MiB", "16MiB", "32MiB", 32),
                (nil, "16MiB", "32MiB", 32), ("8MiB", nil, "32MiB", 32),
            ]
            for (file, variable, flag, cap) in cases {
                try bench.write(file.map { "spool-cap: \($0)\n" } ?? "{}\n", to: "bulkhead.yaml")
                let server = try await bench.start(
                    flag.map { ["--spool-cap", $0] } ?? [],
                    environment: variable.map { ["BULKHEAD_SPOOL_CAP": $0] } ?? [:]
                )
                let status = try await bench.answer("status")
                await bench.stop(server)
                #expect(status["spool"]?["cap"]?.integer == cap * mebibyte, "\(status.text)")
            }
        }

        @Test(
            "paths of the file are below the file's folder, those of flag and environment below ours",
            .timeLimit(.minutes(5))
        )
        func paths() async throws {
            let bench = try Workbench()
            try FileManager.default.createDirectory(
                atPath: bench.folder + "/etc",
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o755]
            )
            try bench.write(
                "plugins: ../plugins\npolicies: ../policies\nstate: filed\nscratch: ../scratch\n",
                to: "etc/settings.yaml"
            )
            let filed = bench.folder + "/etc/filed"
            try await Self.serving(
                bench,
                ["--config", "etc/settings.yaml"],
                socket: filed + "/bulkhead.sock"
            ) { status in
                #expect(status.text("stateFolder") == filed)
                #expect(status.text("pluginsFolder").hasSuffix("/plugins"))
            }
            let variables = ["BULKHEAD_CONFIG": "etc/settings.yaml", "BULKHEAD_STATE": "from-environment"]
            let named = bench.folder + "/from-environment"
            try await Self.serving(bench, environment: variables, socket: named + "/bulkhead.sock") {
                status in
                #expect(status.text("stateFolder") == named)
            }
            let flagged = bench.folder + "/from-flag"
            let socket = bench.folder + "/s.sock"
            try await Self.serving(
                bench,
                ["--state", "from-flag", "--listen", "unix:s.sock"],
                environment: variables,
                socket: socket
            ) { status in
                #expect(status.text("stateFolder") == flagged)
            }
        }

        // MARK: Refused

        @Test(
            "what is wrong in a setting is told with name, value and source, and nothing is made",
            .timeLimit(.minutes(5))
        )
        func refused() async throws {
            let bench = try Workbench()
            let final = """
                the spool must hold the terminal reserve of 1MiB and one final message, 80KiB at this \
                result-limit; spool-cap is 79KiB
                """
            let cases: [(file: String, variables: [String: String], flags: [String], words: [String])] = [
                (
                    "{}", ["BULKHEAD_SPOOL_CAP": "64MB?"], [],
                    ["BULKHEAD_SPOOL_CAP=64MB? (environment): ", "is not a size"]
                ),
                (
                    "{}", ["BULKHEAD_SPOOL_CAP": "79KiB"], [],
                    ["BULKHEAD_SPOOL_CAP=79KiB (environment): \(final)"]
                ),
                ("spool-cap: 79KiB", [:], [], ["spool-cap=79KiB (./bulkhead.yaml:1:1): \(final)"]),
                ("{}", [:], ["--spool-cap", "79KiB"], ["--spool-cap=79KiB (flag): \(final)"]),
                (
                    "spool-cap: 100KiB\nresult-limit: 100KiB", [:], [],
                    ["spool-cap=100KiB (./bulkhead.yaml:1:1): ", "116KiB at this result-limit"]
                ),
                (
                    "{}", ["BULKHEAD_SPOL_CAP": "64MiB"], [],
                    ["BULKHEAD_SPOL_CAP=64MiB (environment): ", "did you mean BULKHEAD_SPOOL_CAP?"]
                ),
                (
                    "drain: 1s\nspol-cap: 1GiB", [:], [],
                    ["spol-cap=1GiB (./bulkhead.yaml:2:1): ", "did you mean spool-cap?"]
                ),
                (
                    "retention: 0", [:], [],
                    ["retention=0 (./bulkhead.yaml:1:1): ", "write off to keep tasks until"]
                ),
                ("{}", [:], ["--retention", "24"], ["--retention=24 (flag): ", "is not a duration"]),
                (
                    "{}", ["BULKHEAD_RETENTION_TASKS": "0"], [],
                    ["BULKHEAD_RETENTION_TASKS=0 (environment): ", "a whole number from 1 on, or off"]
                ),
                ("outbox: yes", [:], [], ["outbox=yes (./bulkhead.yaml:1:1): ", "neither on nor off"]),
                ("{}", ["BULKHEAD_OUTBOX": "1"], [], ["BULKHEAD_OUTBOX=1 (environment): "]),
                ("{}", ["BULKHEAD_ON_STOP": "halt"], [], ["BULKHEAD_ON_STOP=halt (environment): "]),
                (
                    "{}", ["BULKHEAD_TERMINAL_RESERVE": "64MiB"], [],
                    [
                        "BULKHEAD_TERMINAL_RESERVE=64MiB (environment): ",
                        "the terminal reserve of 64MiB and one",
                    ]
                ),
                (
                    "terminal-reserve: 0B", [:], [],
                    ["terminal-reserve=0B (./bulkhead.yaml:1:1): ", "is more than nothing"]
                ),
                (
                    "{}", [:], ["--spool-cap", "0B"], ["--spool-cap=0B (flag): ", "spool-cap is 0B"]
                ),
                ("{}", ["BULKHEAD_TOKEN_FILE": "t"], [], ["BULKHEAD_TOKEN_FILE=t (environment): "]),
                (
                    "listen: [\"127.0.0.1:80\"]", [:], [],
                    ["listen=127.0.0.1:80 (./bulkhead.yaml:1:1): ", "TCP"]
                ),
                (
                    "{}", [:], ["--scratch", bench.state + "/x"],
                    ["--scratch=\(bench.state)/x (flag): ", "below \(bench.state)"]
                ),
                ("state: &s x\npolicies: *s", [:], [], ["./bulkhead.yaml:2:11: aliases (*) are not taken"]),
                ("nested: " + String(repeating: "[", count: 100_000), [:], [], ["nests deeper than"]),
            ]
            for (file, variables, flags, words) in cases {
                try bench.write(file + "\n", to: "bulkhead.yaml")
                let ended = try await bench.launchServer(flags, environment: variables).result()
                #expect(ended.code == 2 && ended.out.isEmpty, "\(ended.err)")
                for word in words { #expect(ended.err.contains(word), "\(ended.err)") }
                #expect(ended.err.utf8.count < 1_000, "a message has an end")
                #expect(!FileManager.default.fileExists(atPath: bench.state), "\(words)")
            }
        }

        @Test(
            "a config file that is named and not there, or not to be trusted, is refused",
            .timeLimit(.minutes(5))
        )
        func untrustedFile() async throws {
            let bench = try Workbench()
            let missing = try await bench.launchServer(["--config", "nosuch.yaml"]).result()
            #expect(missing.code == 2 && missing.err.contains("nosuch.yaml"), "\(missing.err)")
            try bench.write("spool-cap: 8MiB\n", to: "bulkhead.yaml", mode: 0o666)
            let open = try await bench.launchServer().result()
            #expect(
                open.code == 2 && open.err.contains("is writable by everybody (mode 0666)"),
                "\(open.err)"
            )
            #expect(!FileManager.default.fileExists(atPath: bench.state))
        }

        // MARK: Rights

        @Test("state and socket are closed to others, whatever the umask", .timeLimit(.minutes(5)))
        func modes() async throws {
            let bench = try Workbench()
            try bench.handler("works", "echo fine")
            let serve = "umask 000; exec '\(Workbench.programs)/bulkhead' serve"
            let folders = "--plugins plugins --policies policies --state state --scratch scratch"
            let server = try ChildProcess(
                "/bin/sh",
                ["-c", serve + " " + folders],
                environment: ["PATH": "/usr/bin:/bin"],
                folder: bench.folder
            )
            #expect(await server.says("ready"))
            let task = try await bench.finished("works")
            #expect(task.text("status") == "completed")
            #expect(try Self.mode(bench.state) == 0o700)
            #expect(try Self.mode(bench.socket) == 0o600)
            for name in try FileManager.default.contentsOfDirectory(atPath: bench.state) {
                #expect(try Self.mode(bench.state + "/" + name) & 0o077 == 0, "\(name)")
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test(
            "with socket-group the group may use the socket too",
            .enabled(if: geteuid() == 0, "needs root, to give a socket to a group"),
            .timeLimit(.minutes(5))
        )
        func socketGroup() async throws {
            let bench = try Workbench()
            let socket = bench.folder + "/shared.sock"
            let server = try await bench.start(["--socket-group", "daemon", "--listen", "unix:" + socket])
            let attributes = try FileManager.default.attributesOfItem(atPath: socket)
            #expect(attributes[.groupOwnerAccountName] as? String == "daemon")
            #expect(try Self.mode(socket) == 0o660)
            let connect = "import socket; socket.socket(socket.AF_UNIX).connect('\(socket)')"
            for (group, mayConnect) in [("daemon", true), ("games", false)] {
                let asked = try await ChildProcess(
                    "/usr/bin/setpriv",
                    ["--reuid=nobody", "--regid=\(group)", "--clear-groups", "python3", "-c", connect],
                    environment: ["PATH": "/usr/bin:/bin"],
                    folder: "/"
                )
                .result()
                #expect(mayConnect == (asked.code == 0), "\(group): \(asked.err)")
                #expect(mayConnect || asked.err.contains("PermissionError"), "\(group): \(asked.err)")
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test("a socket-group that is none is refused, and no open socket is left", .timeLimit(.minutes(5)))
        func unknownGroup() async throws {
            let bench = try Workbench()
            let ended = try await bench.launchServer(["--socket-group", "no-such-group"]).result()
            #expect(ended.code == 2 && ended.err.contains("\"no-such-group\""), "\(ended.err)")
            #expect(!FileManager.default.fileExists(atPath: bench.socket))
            try await bench.serving { bench throws in
                #expect(try await bench.answer("status").text("phase") == "ready")
            }
        }

        private static func mode(_ path: String) throws -> Int {
            try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
        }
    }
}
