import BulkheadCore
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// Life under a service manager, and as the first process of a container.
    @Suite("Service")
    struct ServiceTests {
        static let isRoot = geteuid() == 0
        static let unified = isRoot ? TestCgroup.root("unified") : nil

        /// Processes whose parent this is, zombies included; each belongs to the thread that has started it.
        private func children(of pid: pid_t) -> [pid_t] {
            let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
            return threads.flatMap { thread -> [pid_t] in
                let path = "/proc/\(pid)/task/\(thread)/children"
                let list = try? String(contentsOfFile: path, encoding: .utf8)
                return (list ?? "").split(separator: " ").compactMap { pid_t($0) }
            }
        }

        private func wait(
            _ bench: Workbench,
            for notify: NotifySocket,
            _ name: String,
            times: Int
        ) async throws {
            let came = try await bench.eventually { notify.values(of: name).count >= times }
            try #require(came, "\(name) was not said \(times) times: \(notify.messages)")
        }

        @Test("a service manager hears of start, readiness, life, reload and end", .timeLimit(.minutes(5)))
        func notices() async throws {
            let bench = try Workbench()
            let notify = try NotifySocket(path: bench.folder + "/notify")
            try bench.handler("variables", "env")
            let server = try await bench.start(environment: [
                "NOTIFY_SOCKET": bench.folder + "/notify", "WATCHDOG_USEC": "200000",
            ])
            try await wait(bench, for: notify, "READY", times: 1)
            #expect(notify.values(of: "STATUS").last == "ready at unix:\(bench.socket)")
            try await wait(bench, for: notify, "WATCHDOG", times: 5)
            #expect(Set(notify.values(of: "WATCHDOG")) == ["1"])

            server.send(SIGHUP)
            try await wait(bench, for: notify, "READY", times: 2)
            let time = try #require(notify.values(of: "MONOTONIC_USEC").first.flatMap { Int64($0) })
            #expect(time > 0)
            let order = notify.messages.map { $0.prefix { $0 != "\n" } }.filter { !$0.hasPrefix("WATCHDOG") }
            let start = order.prefix { $0 == "EXTEND_TIMEOUT_USEC=60000000" }
            #expect(start.count == 2 && notify.values(of: "STATUS").first == "looking through the database")
            #expect(order.dropFirst(start.count) == ["READY=1", "RELOADING=1", "READY=1"])

            let (_, text) = try await bench.output(of: "variables")
            #expect(text.contains("BULKHEAD_TASK_TYPE=variables"))
            #expect(!text.contains("NOTIFY_SOCKET") && !text.contains("WATCHDOG"))
            #expect(await bench.stop(server).code == 0)
            #expect(notify.values(of: "STOPPING") == ["1"])
        }

        @Test(
            "without a service manager serve says nothing of one, and a stop is the same",
            .timeLimit(.minutes(5))
        )
        func noManager() async throws {
            let bench = try Workbench()
            let server = try await bench.start(environment: ["WATCHDOG_USEC": "1000"])
            let end = await bench.stop(server)
            #expect(end.code == 0 && !end.err.contains("service manager"))
        }

        @Test("an address of the manager that cannot be meant is wrong usage", .timeLimit(.minutes(5)))
        func badAddress() async throws {
            let bench = try Workbench()
            let end = try await bench.launchServer(environment: ["NOTIFY_SOCKET": "nowhere"]).result()
            #expect(end.code == 2 && end.err.contains("NOTIFY_SOCKET=nowhere"))
        }

        @Test(
            "SIGHUP takes what may change, names what may not, and survives a broken file",
            .timeLimit(.minutes(5))
        )
        func reload() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("slow", "gate a")
            try bench.write("drain: 0s\n", to: "bulkhead.yaml")
            let config = ["--config", bench.folder + "/bulkhead.yaml"]
            let server = try await bench.start(config)
            try #require(try await bench.eventually { try await bench.isUsable("slow") })
            let id = try await bench.submit("slow")
            try #require(try await bench.waits(for: id, toBe: .running))

            try bench.write("drain: soon\n", to: "bulkhead.yaml")
            server.send(SIGHUP)
            #expect(await server.says("the settings cannot be read again"))
            try bench.write("drain: 1m\nspool-cap: 32MiB\n", to: "bulkhead.yaml")
            server.send(SIGHUP)
            #expect(await server.says("hold from the next start only"))
            #expect(server.errorsSoFar.contains("settings=spool-cap"))

            server.send(SIGTERM)
            #expect(await server.says("stopping"))
            try bench.open("a")
            #expect(await server.result().code == 0)
            try await bench.serving(config) { bench in
                let task = try await bench.task(id)
                #expect(task.text("status") == "completed")
            }
        }

        @Test(
            "beside a service, tasks run in its tasks' unit, and the next supervisor can be put where this one was",
            .enabled(if: unified != nil, "needs root and a version 2 hierarchy that we may use"),
            .timeLimit(.minutes(5))
        )
        func units() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("slow", "gate a", policy: "limits: {processes: 50}\n")
            let slice = try TestCgroup(try #require(Self.unified))
            let (service, tasks) = (slice.path + "/bulkhead.service", slice.path + "/bulkhead-tasks.service")
            for path in [service, tasks] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            }
            defer { TestCgroup.remove(slice.path) }
            for round in 1...2 {
                let server = try ChildProcess(
                    "/bin/sh",
                    [
                        "-c", "echo $$ > \(service)/cgroup.procs && exec \"$@\"", "sh",
                        Workbench.programs + "/bulkhead", "serve", "--plugins", bench.plugins, "--policies",
                        bench.policies, "--state", bench.state, "--scratch", bench.folder + "/scratch",
                    ],
                    environment: ["PATH": "/usr/bin:/bin"],
                    folder: bench.folder
                )
                try #require(await server.says("ready"), "round \(round): \(server.errorsSoFar)")
                try #require(try await bench.eventually { try await bench.isUsable("slow") })
                let id = try await bench.submit("slow")
                try #require(try await bench.waits(for: id, toBe: .running))
                #expect(place(of: server.pid)?.hasSuffix("/bulkhead.service") == true)
                // A task is running from the moment that its attempt is durable, a little before its handler is.
                func launcherPlaces() -> [String] { children(of: server.pid).compactMap(place) }
                func handlerPlaces() -> [String] {
                    children(of: server.pid).flatMap(children).compactMap(place)
                }
                let unit = "/bulkhead-tasks.service/bulkhead-"
                #expect(
                    try await bench.eventually {
                        handlerPlaces().contains { $0.contains(unit) && $0.hasSuffix("/\(id)-1") }
                    }
                )
                let places = launcherPlaces()
                #expect(!places.isEmpty)
                #expect(places.allSatisfy { $0.contains(unit) && $0.hasSuffix("-launchers") })
                let below = try FileManager.default.contentsOfDirectory(atPath: service)
                #expect(!below.contains { TestCgroup.exists("\(service)/\($0)/cgroup.procs") })
                server.send(SIGKILL)
                _ = await server.result()
                // What ran goes on in the tasks' unit, and the service's own group is free for the next start.
                try #require(try await bench.eventually { TestCgroup.isEmpty(service) })
                #expect(!TestCgroup.isEmpty(tasks))
            }
            try bench.open("a")
        }

        /// A process's group in the version 2 hierarchy.
        private func place(of pid: pid_t) -> String? {
            let text = try? String(contentsOfFile: "/proc/\(pid)/cgroup", encoding: .utf8)
            return text?.split(separator: "\n").first { $0.hasPrefix("0::") }.map { String($0.dropFirst(3)) }
        }

        @Test(
            "the first process of a container reaps orphans, hands signals on and leaves nothing",
            .enabled(if: isRoot && TestCgroup.exists("/usr/bin/unshare"), "needs root and unshare"),
            .timeLimit(.minutes(5)),
            arguments: [SIGTERM, SIGINT]
        )
        func firstProcess(_ signal: Int32) async throws {
            let bench = try Workbench()
            try bench.gatedHandler("slow", "gate a")
            let container = try ChildProcess(
                "/usr/bin/unshare",
                [
                    "--pid", "--fork", "--mount-proc", "/bin/sh", "-c",
                    "(for i in 1 2 3; do sleep 0.3 & done); exec \"$@\"", "sh",
                    Workbench.programs + "/bulkhead", "serve", "--plugins", bench.plugins, "--policies",
                    bench.policies, "--state", bench.state, "--scratch", bench.folder + "/scratch",
                ],
                environment: ["PATH": "/usr/bin:/bin"],
                folder: bench.folder
            )
            try #require(await container.says("ready"), "\(container.errorsSoFar)")
            let first = try #require(children(of: container.pid).first)
            #expect(try await bench.eventually { children(of: first).count == 1 })
            try #require(try await bench.eventually { try await bench.isUsable("slow") })
            let id = try await bench.submit("slow")
            try #require(try await bench.waits(for: id, toBe: .running))
            let supervisor = try #require(children(of: first).first)
            #expect(try await bench.eventually { !children(of: supervisor).flatMap(children).isEmpty })
            let launchers = children(of: supervisor)
            let handlers = launchers.flatMap(children)

            kill(first, signal)
            let end = await container.result()
            #expect(end.code == 0 && end.err.contains("stopping"))
            for pid in [first, supervisor] + launchers + handlers {
                #expect(!TestCgroup.exists("/proc/\(pid)"))
            }
            try await bench.serving { bench in
                let task = try await bench.task(id)
                #expect(task.text("status") == "interrupted")
            }
        }
    }
}

extension TestCgroup {
    /// Ends whatever is in a group and below it, and removes all of it.
    static func remove(_ path: String) {
        try? Data("1".utf8).write(to: URL(filePath: path + "/cgroup.kill"))
        let entries = (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? []
        let groups = entries.filter { exists("\(path)/\($0)/cgroup.procs") }.sorted(by: >)
        for group in groups.map({ "\(path)/\($0)" }) + [path] {
            // What is being killed holds its group for a moment.
            for _ in 0..<100 where exists(group) {
                unsafe rmdir(group)
                if exists(group) { usleep(10_000) }
            }
        }
    }

    /// Whether no process is in a group or below it.
    static func isEmpty(_ path: String) -> Bool {
        let events = try? String(contentsOfFile: path + "/cgroup.events", encoding: .utf8)
        return events?.contains("populated 0") == true
    }
}
