import Foundation
import Testing

extension EndToEnd {
    /// What comes with Bulkhead to make it a service, as systemd's own tools read it.
    @Suite("Deploy")
    struct DeployTests {
        private static func file(_ name: String) throws -> String {
            try String(contentsOfFile: Workbench.checkout + "/deploy/" + name, encoding: .utf8)
        }

        /// Writes the units into a folder, with the built program in the place of the installed one.
        private static func units(_ bench: Workbench, withoutRoot: Bool) throws -> [String] {
            let service = try file("bulkhead.service")
            let program = Workbench.programs + "/bulkhead"
            try bench.write(
                service.replacing("/usr/bin/bulkhead", with: program),
                to: "bulkhead.service"
            )
            try bench.write(try file("bulkhead-tasks.service"), to: "bulkhead-tasks.service")
            if withoutRoot {
                let start = try #require(service.firstRange(of: "# [Service]"))
                let lines = service[start.lowerBound...].split(separator: "\n").map { $0.dropFirst(2) }
                #expect(lines.contains("User=bulkhead"))
                let folder = bench.folder + "/bulkhead.service.d"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
                try bench.write(
                    lines.joined(separator: "\n") + "\n",
                    to: "bulkhead.service.d/user.conf"
                )
            }
            return ["bulkhead.service", "bulkhead-tasks.service"].map { bench.folder + "/" + $0 }
        }

        /// It ends with 0 whatever it finds; what it finds, it says.
        private static func complaints(_ units: [String]) async throws -> String {
            try await Tool.run("systemd-analyze", "verify", "--man=no", units[0], units[1]).err
        }

        @Test(
            "systemd finds nothing wrong with the units, with root and without",
            .timeLimit(.minutes(5)),
            .enabled(if: Tool.isThere("systemd-analyze"), "needs systemd-analyze"),
            arguments: [false, true]
        )
        func units(withoutRoot: Bool) async throws {
            let bench = try Workbench()
            let units = try Self.units(bench, withoutRoot: withoutRoot)
            #expect(try await Self.complaints(units) == "")
            let text = try String(contentsOfFile: units[0], encoding: .utf8)
            try bench.write(text.replacing("KillMode=", with: "KilMode="), to: "bulkhead.service")
            #expect(try await Self.complaints(units).contains("KilMode"))
        }

        @Test("the service's unit is what its supervisor needs", .timeLimit(.minutes(5)))
        func settings() throws {
            let lines = Set(try Self.file("bulkhead.service").split(separator: "\n").map(String.init))
            let needed = [
                "Type=notify", "NotifyAccess=main", "Restart=always", "KillMode=process",
                "OOMPolicy=continue",
                "Delegate=yes", "ProtectSystem=full", "Requires=bulkhead-tasks.service",
            ]
            for line in needed { #expect(lines.contains(line), "\(line) is missing") }
            #expect(lines.contains { $0.hasPrefix("WatchdogSec=") })
            let tasks = Set(try Self.file("bulkhead-tasks.service").split(separator: "\n").map(String.init))
            for line in ["Type=oneshot", "RemainAfterExit=yes", "Delegate=yes", "KillSignal=SIGWINCH"] {
                #expect(tasks.contains(line), "\(line) is missing")
            }
        }

        @Test(
            "the unit of tasks leaves a process, without which its group would go, and its signal ends that",
            .timeLimit(.minutes(5))
        )
        func keeper() async throws {
            let bench = try Workbench()
            let lines = try Self.file("bulkhead-tasks.service").split(separator: "\n")
            let start = try #require(lines.first { $0.hasPrefix("ExecStart=/bin/sh -c '") })
            // As systemd reads it; but no group is made here.
            let text = start.dropFirst("ExecStart=/bin/sh -c '".count).dropLast()
                .replacing("$$", with: "$").replacing("/sys/fs/cgroup", with: bench.folder + "/none")
            let mark = "KEEPER=" + bench.folder
            let script = "exec >/dev/null 2>&1; " + text
            #expect(try await Tool.run("env", mark, "/bin/sh", "-c", script).code == 0)
            defer { for process in ProcessTable.withEnvironment(mark + "\0") { kill(process.pid, SIGKILL) } }
            let waits = try await bench.eventually {
                ProcessTable.withEnvironment(mark + "\0").contains { $0.name == "sleep" }
            }
            #expect(waits)
            // The one that waits may not have said yet that it hears the signal.
            let isOver = try await bench.eventually {
                for process in ProcessTable.withEnvironment(mark + "\0") { kill(process.pid, SIGWINCH) }
                return ProcessTable.withEnvironment(mark + "\0").isEmpty
            }
            #expect(isOver, "it would hold a stop up to its timeout")
        }

        @Test(
            "user, group and folders are made as they are meant",
            .timeLimit(.minutes(5)),
            .enabled(
                if: geteuid() == 0 && Tool.isThere("systemd-sysusers") && Tool.isThere("systemd-tmpfiles"),
                "needs root, systemd-sysusers and systemd-tmpfiles"
            )
        )
        func folders() async throws {
            let bench = try Workbench()
            let root = bench.folder + "/root"
            try FileManager.default.createDirectory(
                atPath: root + "/etc",
                withIntermediateDirectories: true
            )
            let deploy = Workbench.checkout + "/deploy/bulkhead."
            let users = try await Tool.run("systemd-sysusers", "--root=" + root, deploy + "sysusers")
            #expect(users.code == 0, "\(users.err)")
            for file in ["passwd", "group"] {
                let text = try String(contentsOfFile: root + "/etc/" + file, encoding: .utf8)
                #expect(text.hasPrefix("bulkhead:x:"))
            }
            let made = try await Tool.run(
                "systemd-tmpfiles",
                "--root=" + root,
                "--create",
                deploy + "tmpfiles"
            )
            #expect(made.code == 0, "\(made.err)")
            let modes = [
                "/etc/bulkhead/plugins": 0o755, "/etc/bulkhead/policies": 0o755, "/var/lib/bulkhead": 0o700,
                "/var/lib/bulkhead-scratch": 0o711, "/run/bulkhead": 0o755,
            ]
            for (path, mode) in modes {
                let attributes = try FileManager.default.attributesOfItem(atPath: root + path)
                #expect(attributes[.posixPermissions] as? Int == mode, "\(path)")
                #expect(attributes[.type] as? FileAttributeType == .typeDirectory)
            }
        }
    }
}
