import BulkheadLaunch
import Testing

@Suite("NamespaceReport")
struct NamespaceReportTests {
    @Test("a report comes back from its line as it went")
    func roundTrip() throws {
        for report in [
            NamespaceReport(means: .direct),
            NamespaceReport(means: .user, failures: [.user: 1]),
            NamespaceReport(means: .user, failures: [.proc: 1, .ipc: 22, .network: 13]),
        ] {
            #expect(NamespaceReport(text: report.text) == report)
        }
    }

    @Test(
        "a line that is no report is none",
        arguments: ["", "root", "user proc", "user proc=0", "user x=1"]
    )
    func malformed(line: String) {
        #expect(NamespaceReport(text: line) == nil)
    }

    @Test("nothing can be had where the pid or the user namespace cannot")
    func nothing() {
        for failures in [[NamespaceFeature.pid: Int32(1)], [.user: 1]] {
            let report = NamespaceReport(means: .user, failures: failures)
            #expect(NamespaceFeature.allCases.allSatisfy { !report.has($0) })
        }
        #expect(!NamespaceReport(means: .direct, failures: [.mounts: 1]).has(.proc))
        #expect(!NamespaceReport(means: .direct).has(.user))
        #expect(NamespaceReport(means: .user).has(.user))
    }

    @Test("what failed is left out of the next try, until nothing is left to leave out")
    func tries() {
        var report = NamespaceReport(means: .user)
        let proc = report.spec.mounts?.steps.firstIndex(of: .proc) ?? -1
        let tries = [
            (NamespaceStep.mount(proc), 1), (.network, 2), (.unshare, 22), (.unshare, 22), (.unshare, 22),
        ]
        .map { step, errno in report.note(step, errno: Int32(errno)) }
        #expect(tries == [true, true, true, true, false])
        #expect(report.failures == [.proc: 1, .network: 2, .ipc: 22, .mounts: 22, .pid: 22])
        let spec = report.spec
        #expect(!spec.hasNetwork && !spec.hasIPC && spec.mounts == nil)
        var other = NamespaceReport(means: .user)
        let memory = other.note(.mount(0), errno: 5)
        let user = other.note(.user, errno: 1)
        #expect(memory && !user && other.failures == [.mounts: 5, .user: 1])
    }

    @Test("every step has a number of its own, and comes back from it")
    func steps() {
        let steps: [NamespaceStep] = [
            .user, .network, .unshare, .firstProcess, .isolate, .root, .seal, .handler, .mount(0),
            .mount(4095),
        ]
        #expect(Set(steps.map(\.item)).count == steps.count)
        for step in steps { #expect(NamespaceStep(item: step.item) == step) }
        #expect(NamespaceStep(item: .max) == nil)
    }

    @Test("a failed step is named in words")
    func words() {
        let spec = NamespaceSpec(mounts: MountSpec(base: .empty, steps: [.proc, .cover(path: "/run")]))
        #expect(NamespaceStep.mount(0).words(in: spec) == "mounting /proc")
        #expect(NamespaceStep.mount(1).words(in: spec) == "hiding /run")
        #expect(NamespaceStep.mount(2).words(in: spec) == "a mount")
        #expect(NamespaceStep.user.words(in: spec) == "the user namespace")
    }
}
