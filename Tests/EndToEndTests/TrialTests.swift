import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// The verbs that try a handler or the host out: `check`, `policy learn` and `doctor`.
    @Suite("Trials")
    struct TrialTests {
        /// Runs a verb on the workbench's folders, without any supervisor of its own.
        private func run(_ bench: Workbench, _ arguments: [String]) async throws -> ChildProcess.Result {
            let folders = ["--plugins", bench.plugins, "--policies", bench.policies]
            return try await bench.run(
                arguments + folders,
                environment: ["BULKHEAD_SCRATCH": bench.folder + "/scratch"]
            ).result()
        }

        private func verdicts(_ document: JSONValue) -> [String: String] {
            let lines = document["checks"]?.array ?? []
            return Dictionary(lines.map { ($0.text("name"), $0.text("verdict")) }) { first, _ in first }
        }

        private static let trials = "/var/tmp"

        private func leftovers() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: Self.trials).filter {
                $0.hasPrefix("bulkhead-trial-")
            }
        }

        @Test("check finds nothing wrong with a handler that keeps the protocol", .timeLimit(.minutes(5)))
        func good() async throws {
            let bench = try Workbench()
            try bench.handler(
                "good",
                """
                trap 'exit 0' TERM
                cat > input
                echo '{"progress":{"fraction":0.5}}' >&3
                n=0; while [ $n -lt 100 ]; do sleep 0.01; n=$((n + 1)); done
                echo '{"result":1}' >&3
                """
            )
            try bench.policy("good", "grace: 5s\nretry: {limit: 2}\n")
            let checked = try await run(bench, ["check", "good", "--json"])
            let document = try JSONParser.parse(checked.stdout)
            #expect(checked.code == 0 && document["ok"] == true, "\(document.text) \(checked.err)")
            #expect(
                verdicts(document)["SIGTERM"] == "ok" && verdicts(document)["stdin"] == "ok",
                "\(document.text)"
            )
            let text = try await run(bench, ["check", bench.plugins + "/good"])
            #expect(
                text.code == 0 && text.out.contains("ok     stdin") && text.err.contains("keeps the protocol")
            )
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.plugins) == ["good"])
        }

        @Test("check names each thing that a bad handler does, and ends with 1", .timeLimit(.minutes(5)))
        func bad() async throws {
            let bench = try Workbench()
            try bench.handler(
                "bad",
                """
                #!/bin/bash
                trap '' TERM
                echo nonsense >&3
                setsid sleep 100 &
                unshare -U true
                for n in {1..60}; do sleep 0.01; done
                exit 3
                """
            )
            try bench.policy("bad", "grace: 100ms\nretry: {limit: 3, delay: 1m}\n")
            let checked = try await run(bench, ["check", "bad", "--json"])
            let document = try JSONParser.parse(checked.stdout)
            let verdicts = verdicts(document)
            #expect(checked.code == 1 && document["ok"] == false)
            for name in ["stdin", "exit", "events", "policy", "processes", "pipes", "SIGTERM"] {
                #expect(verdicts[name] == "wrong", "\(name): \(document.text)")
            }
            #expect(verdicts["starts"] == "ok" && verdicts["file"] == "ok")
            #expect(document.text.contains("sandbox.syscalls.allow: [unshare] in policies/bad.yaml"))
        }

        @Test(
            "check tells a handler or a policy that is refused, and what does not exist",
            .timeLimit(.minutes(5))
        )
        func refused() async throws {
            let bench = try Workbench()
            try bench.handler("open", "exit 0", mode: 0o777)
            let open = try await run(bench, ["check", "open"])
            #expect(
                open.code == 1 && open.out.contains("wrong  file")
                    && open.out.contains("writable by everybody")
            )
            try bench.handler("job", "exit 0")
            try bench.policy("job", "timeuot: 1s\n")
            let policy = try await run(bench, ["check", "job"])
            #expect(policy.code == 1 && policy.out.contains("timeout"), "\(policy.out)")
            try bench.handler("lost", "#!/no/such/interpreter\n")
            let lost = try await run(bench, ["check", "lost"])
            #expect(lost.code == 1 && lost.out.contains("/no/such/interpreter"), "\(lost.out)")
            #expect(try await run(bench, ["check", bench.plugins + "/none"]).code == 3)
        }

        @Test("an interrupted check stops its handler and leaves nothing", .timeLimit(.minutes(5)))
        func interrupted() async throws {
            let bench = try Workbench()
            try bench.handler("long", "touch started; exec sleep 100")
            let before = Set(try leftovers())
            let check = try bench.run(
                ["check", "long", "--plugins", bench.plugins, "--policies", bench.policies],
                environment: ["BULKHEAD_SCRATCH": bench.folder + "/scratch"]
            )
            let scratch = bench.folder + "/scratch"
            let started = try await bench.eventually {
                let files = FileManager.default.subpaths(atPath: scratch) ?? []
                return files.contains { $0.hasSuffix("/started") }
            }
            #expect(started)
            check.send(SIGINT)
            let end = await check.result()
            #expect(end.code == 1 && end.err.contains("interrupted"), "\(end.err)")
            #expect(try await bench.eventually { try Set(leftovers()).subtracting(before).isEmpty })
        }

        @Test(
            "policy learn prints a policy that policy check takes and the handler runs under",
            .timeLimit(.minutes(5))
        )
        func learn() async throws {
            let bench = try Workbench()
            try bench.handler(
                "maker",
                """
                #!/usr/bin/env python3
                import ctypes, json, os, sys
                task = json.load(sys.stdin)
                os.mkdir("made"); os.rmdir("made")
                ctypes.CDLL(None).mount(0, 0, 0, 0, 0)
                sys.exit(0 if task["params"].get("good") else 65)
                """
            )
            try bench.policy("maker", "timeout: 20s\n")
            let learn = ["policy", "learn", "maker", "--runs", "1"]
            let one = try await run(bench, learn + ["--params", "{\"good\":true}"])
            #expect(one.code == 0 && one.err.contains("run it on bad input too"), "\(one.err)")
            let both = try await run(bench, learn + ["--params", "{\"good\":true}", "--params", "{}"])
            #expect(both.code == 0 && !both.err.contains("every run completed"))
            #expect(both.out.contains("# Seen, and still denied: mount, which administers the host."))
            #expect(both.out.contains("preset: compute") && both.out.contains("mkdir"), "\(both.out)")
            #expect(both.out.contains("timeout: 20s") && !both.out.contains("flock"))
            // Nothing is applied by itself.
            #expect(
                try String(contentsOfFile: bench.policies + "/maker.yaml", encoding: .utf8)
                    == "timeout: 20s\n"
            )
            try bench.policy("maker", both.out)
            let checked = try await bench.bulkhead("policy", "check", bench.policies + "/maker.yaml")
            #expect(checked.code == 0, "\(checked.out)")
            let tried = try await run(bench, ["check", "maker", "--params", "{\"good\":true}", "--json"])
            let verdicts = verdicts(try JSONParser.parse(tried.stdout))
            #expect(verdicts["exit"] == "ok", "\(tried.out)")
        }

        @Test("a policy learned from a shell stays within what its preset gives", .timeLimit(.minutes(5)))
        func learnShell() async throws {
            let bench = try Workbench()
            try bench.handler("shell", "cat | tr a-z A-Z > out; unshare -U true; exit 0")
            let learned = try await run(bench, ["policy", "learn", "shell", "--runs", "1", "--json"])
            let document = try JSONParser.parse(learned.stdout)
            #expect(learned.code == 0 && document["holds"] == true, "\(document.text) \(learned.err)")
            #expect(document.text("policy").contains("preset: default"))
            #expect(document["refused"]?.array?.contains { $0.text("call") == "unshare" } == true)
            try bench.policy("shell", "sandbox: {preset: unconfined}\n")
            let refused = try await run(bench, ["policy", "learn", "shell"])
            #expect(refused.code == 2 && refused.err.contains("unconfined"))
        }

        @Test("doctor says that handlers launch here, in lines and as JSON", .timeLimit(.minutes(5)))
        func doctor() async throws {
            let bench = try Workbench()
            let place = ["--state", bench.state, "--scratch", bench.folder + "/scratch"]
            let told = try await bench.bulkhead(["doctor"] + place)
            let verdict = "policies with \"enforcement: required\" will launch here"
            #expect(told.code == 0 && told.out.hasSuffix(verdict + "\n"), "\(told.out) \(told.err)")
            #expect(told.out.contains("none answers"))
            let document = try JSONParser.parse(
                try await bench.bulkhead(["doctor", "--json"] + place).stdout
            )
            let namespaces = document["findings"]?.array?.first { $0.text("name") == "namespaces" }
            #expect((namespaces?.text("state") == "present") == hasNamespaces, "\(document.text)")
            #expect(document["launches"] == true && document["findings"]?.array?.count ?? 0 > 10)
            // Nothing is made.
            #expect(!FileManager.default.fileExists(atPath: bench.state))
        }
    }
}
