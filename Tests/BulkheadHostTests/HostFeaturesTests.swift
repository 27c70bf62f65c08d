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
