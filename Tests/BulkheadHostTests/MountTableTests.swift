import Foundation
import Testing

@testable import BulkheadHost

@Suite("MountTable")
struct MountTableTests {
    @Test("lines are read with their optional fields and escaped blanks")
    func lines() {
        let text = """
            36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue
            37 35 0:30 / /with\\040blank\\134and\\011tab ro - tmpfs tmpfs rw,size=4k
            no mount at all
            38 35 0:31 /
            """
        let table = MountTable.parse(text)
        #expect(table.mounts.map(\.id) == [36, 37])
        #expect(
            table.mount(numbered: 36)
                == MountTable.Mount(
                    id: 36,
                    root: "/mnt1",
                    point: "/mnt2",
                    options: ["rw", "noatime"],
                    type: "ext3",
                    superOptions: ["rw", "errors=continue"]
                )
        )
        #expect(table.mounts[1].point == "/with blank\\and\ttab")
        #expect(table.mount(numbered: 99) == nil)
    }

    @Test("the mount of a file is found by the number that statx gives")
    func current() throws {
        let mount = try MountTable.current().mount(numbered: FileStatus.of("/proc/self/stat").mount)
        #expect(mount?.type == "proc")
    }
}
