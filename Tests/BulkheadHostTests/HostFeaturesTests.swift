import BulkheadLaunch
import Foundation
import Testing

@testable import BulkheadHost

@Suite("HostFeatures")
struct HostFeaturesTests {
    @Test("this host is what it says itself")
    func probe() throws {
        let features = HostFeatures.probe()
        #expect(features.isRoot == (geteuid() == 0))
        let release = try String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
        #expect(release.hasPrefix(features.kernelRelease))
        #expect(["x86_64", "aarch64"].contains(features.architecture))
        #expect((0...64).contains(features.landlockABI))
        // A kernel since 5.0 hands calls to a listener, unless it was built without filters.
        let actions = try? String(contentsOfFile: "/proc/sys/kernel/seccomp/actions_avail", encoding: .utf8)
        #expect(features.hasUserNotification == (actions?.contains("user_notif") ?? false))
    }

    @Test("namespaces are asked of the launcher, and what it tells is what the kernel then gives")
    func namespaces() throws {
        let launcher = Bundle.main.bundleURL.appendingPathComponent("bulkhead-launcher").path
        let features = HostFeatures.probe(launcher: launcher)
        #expect(features.namespaceReports.map(\.means) == [.direct, .user])
        let direct = features.namespaceReports[0]
        #expect(direct.has(.pid) == (features.capabilities & (1 << 21) != 0))  // CAP_SYS_ADMIN
        #expect(HostFeatures.probe(launcher: "/bin/false").namespaceReports.isEmpty)
        #expect(HostFeatures.probe(launcher: "/no/such/program").namespaceReports.isEmpty)
    }

    @Test("own rights come before a user namespace, and who switches users takes no such namespace")
    func chosenNamespaces() {
        var features = HostFeatures.probe()
        features.capabilities = 0
        let refused = NamespaceReport(means: .direct, failures: [.pid: 1, .mounts: 1])
        let user = NamespaceReport(means: .user, failures: [.proc: 1])
        features.namespaceReports = [refused, user]
        #expect(features.namespaces == user)
        features.namespaceReports = [NamespaceReport(means: .direct), user]
        #expect(features.namespaces?.means == .direct)
        features.namespaceReports = [refused, NamespaceReport(means: .user, failures: [.user: 28])]
        #expect(features.namespaces == nil)
        features.capabilities = 0xC1
        features.namespaceReports = [refused, user]
        #expect(features.namespaces == nil)
    }

    @Test(
        "processes are counted for each user namespace since Linux 5.14",
        arguments: [("5.10.0-28-amd64", false), ("5.14", true), ("6.1.0-18-amd64", true), ("unknown", false)]
    )
    func processCount(release: String, counts: Bool) {
        var features = HostFeatures.probe()
        features.kernelRelease = release
        #expect(features.countsProcessesPerUserNamespace == counts)
    }

    @Test("capabilities are read, and only all three of them let users be switched")
    func capabilities() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n"
        #expect(HostFeatures.effectiveCapabilities(status: status) == 0x1FF_FFFF_FFFF)
        #expect(HostFeatures.effectiveCapabilities(status: "") == 0)
        var features = HostFeatures.probe()
        for (bits, can) in [(0xC1, true), (0xC0, false), (0x81, false), (0x41, false), (0, false)]
            as [(UInt64, Bool)]
        {
            features.capabilities = bits
            #expect(features.canSwitchUsers == can)
        }
    }
}
