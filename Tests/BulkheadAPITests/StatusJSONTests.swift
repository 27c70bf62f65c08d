import BulkheadAPI
import BulkheadCore
import Testing

@Suite("StatusJSON")
struct StatusJSONTests {
    private func pool() throws -> PoolReport {
        let schedule = BackoffSchedule(delay: .seconds(1), maximum: .seconds(1_800))
        var settings = PoolSettings(concurrency: 4)
        settings.queueLimit = 100
        settings.backoff = PoolBackoff(after: 3, within: .seconds(90), schedule: schedule)
        var health = PoolHealth()
        health.failures = 3
        health.backoffs = 1
        health.backoffUntil = Samples.moment
        return PoolReport(
            name: try PoolName("media"),
            settings: settings,
            isConfigured: true,
            running: 1,
            queued: 2,
            health: health
        )
    }

    @Test("a pool shows its settings, its load and its back-off")
    func pools() throws {
        #expect(
            StatusJSON.value([try pool()]).text
                == #"{"pools":[{"name":"media","concurrency":4,"queueLimit":100,"#
                + #""backoff":{"after":3,"within":"90s","delay":"1s","maximum":"30m","jitter":"full"},"#
                + #""configured":true,"running":1,"queued":2,"failures":3,"backoffs":1,"#
                + #""backoffUntil":"2026-11-21T08:30:00.250Z"}]}"#
        )
    }

    @Test("a pool without limits shows none")
    func plainPool() throws {
        let report = PoolReport(
            name: .default,
            settings: PoolSettings(concurrency: 2),
            isConfigured: false,
            running: 0,
            queued: 0,
            health: PoolHealth()
        )
        #expect(
            StatusJSON.value([report]).text
                == #"{"pools":[{"name":"default","concurrency":2,"configured":false,"running":0,"queued":0,"#
                + #""failures":0}]}"#
        )
    }

    @Test("a plugin is usable only where it has a type and no problem")
    func plugins() throws {
        let good = PluginReport(type: try TaskType("a"), file: "a.sh", digest: "00", pool: .default)
        let refused = PluginReport(type: try TaskType("b"), file: "b.sh", problems: ["not executable"])
        let stray = PluginReport(type: nil, file: "policies/c.yaml", problems: ["no handler for it"])
        let json = StatusJSON.value([good, refused, stray])
        #expect(json["plugins"]?.array?.map { $0["usable"]?.bool } == [true, false, false])
        #expect(
            json["plugins"]?.array?.first?.text
                == #"{"type":"a","file":"a.sh","usable":true,"digest":"00","pool":"default"}"#
        )
        #expect(json["plugins"]?.array?.last?["type"] == nil)
    }

    @Test("the supervisor counts every status, also those that no task has")
    func supervisor() throws {
        let report = SupervisorReport(
            version: "1.2.3",
            pid: 42,
            startedAt: Samples.moment,
            phase: .recovering,
            stateFolder: "/s",
            pluginsFolder: "/p",
            policiesFolder: "/q",
            counts: [.running: 2],
            spoolBytes: 5,
            spoolCap: 64,
            recovery: RecoveryReport(),
            pools: [],
            problems: []
        )
        let json = StatusJSON.value(report, now: Samples.moment + .milliseconds(1_500))
        #expect(json["uptimeSeconds"]?.double == 1.5)
        #expect(json["phase"]?.string == "recovering")
        #expect(
            json["counts"]?.text
                == #"{"queued":0,"running":2,"completed":0,"failed":0,"cancelled":0,"interrupted":0}"#
        )
        #expect(json["spool"]?["bytes"] == 5 && json["spool"]?["cap"] == 64)
        #expect(
            json["recovery"]?.text
                == #"{"found":0,"adopted":0,"recorded":0,"waiting":0,"rehydrated":0,"interrupted":0,"poisoned":0}"#
        )
        #expect(json["problems"] == nil)
    }

    @Test("a clock that was set back makes no negative uptime")
    func clockSetBack() {
        let report = SupervisorReport(
            version: "1",
            pid: 1,
            startedAt: Samples.moment,
            phase: .ready,
            stateFolder: "",
            pluginsFolder: "",
            policiesFolder: "",
            counts: [:],
            spoolBytes: 0,
            spoolCap: 0,
            recovery: RecoveryReport(),
            pools: [],
            problems: ["p"]
        )
        let json = StatusJSON.value(report, now: Samples.moment + .seconds(-5))
        #expect(json["uptimeSeconds"]?.double == 0)
        #expect(json["problems"]?.text == #"["p"]"#)
    }
}
