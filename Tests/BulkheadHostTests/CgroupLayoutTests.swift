import Testing

@testable import BulkheadHost

@Suite("CgroupLayout")
struct CgroupLayoutTests {
    private typealias Hierarchy = CgroupLayout.Hierarchy

    @Test("Debian 12 with systemd has the second version alone")
    func systemd() {
        let layout = CgroupLayout.parse(
            mountInfo: """
                24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
                30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
                """,
            membership: "0::/system.slice/bulkhead.service\n"
        )
        let folder = "/sys/fs/cgroup/system.slice/bulkhead.service"
        #expect(
            layout
                == CgroupLayout(
                    unified: Hierarchy(mountPoint: "/sys/fs/cgroup", ownFolder: folder, isReadOnly: false)
                )
        )
    }

    @Test("a hybrid host has controllers in the first version and a second one without")
    func hybrid() {
        let layout = CgroupLayout.parse(
            mountInfo: """
                35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
                36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
                39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
                40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
                41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
                """,
            membership: """
                9:name=systemd:/user.slice
                8:pids:/
                4:memory:/some/where
                1:cpu,cpuacct:/
                0::/user.slice/session-3.scope
                """
        )
        #expect(
            layout
                == CgroupLayout(
                    unified: Hierarchy(
                        mountPoint: "/sys/fs/cgroup/unified",
                        ownFolder: "/sys/fs/cgroup/unified/user.slice/session-3.scope",
                        isReadOnly: false
                    ),
                    memory: Hierarchy(
                        mountPoint: "/sys/fs/cgroup/memory",
                        ownFolder: "/sys/fs/cgroup/memory/some/where",
                        isReadOnly: false
                    ),
                    processes: Hierarchy(
                        mountPoint: "/sys/fs/cgroup/pids",
                        ownFolder: "/sys/fs/cgroup/pids",
                        isReadOnly: false
                    )
                )
        )
    }

    @Test("a container sees a part of the tree, most often read-only")
    func containers() {
        let namespaced = CgroupLayout.parse(
            mountInfo: "900 890 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw\n",
            membership: "0::/\n"
        )
        #expect(
            namespaced.unified
                == Hierarchy(mountPoint: "/sys/fs/cgroup", ownFolder: "/sys/fs/cgroup", isReadOnly: true)
        )
        let bound = CgroupLayout.parse(
            mountInfo: "901 890 0:32 /docker/4711 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            membership: "4:memory:/docker/4711/inner\n0::/docker/4711\n"
        )
        #expect(bound.memory?.ownFolder == "/sys/fs/cgroup/memory/inner")
        #expect(bound.unified == nil)
    }

    @Test("a group outside what is mounted has no folder, and nonsense has no hierarchy")
    func outside() {
        let mount = "901 890 0:32 /docker/4711 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        #expect(
            CgroupLayout.parse(mountInfo: mount, membership: "4:memory:/docker/47110\n") == CgroupLayout()
        )
        #expect(CgroupLayout.parse(mountInfo: mount, membership: "") == CgroupLayout())
        #expect(CgroupLayout.parse(mountInfo: "", membership: "0::/\n") == CgroupLayout())
        #expect(CgroupLayout.parse(mountInfo: "\n \n- -\n", membership: "::\n4\n:\n") == CgroupLayout())
    }
}
