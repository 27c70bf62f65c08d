import Foundation
import Testing

@testable import BulkheadHost

@Suite("FolderWatches")
struct FolderWatchesTests {
    /// The macro cannot look into a value that cannot be copied.
    private func expect(_ held: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(held, sourceLocation: sourceLocation)
    }

    @Test("events are read one after the other, a cut one is passed over")
    func events() {
        func event(_ watch: UInt8, _ mask: UInt8, _ name: [UInt8]) -> [UInt8] {
            [watch, 0, 0, 0, mask, 1, 0, 0x40, 0, 0, 0, 0, UInt8(name.count), 0, 0, 0] + name
        }
        let bytes = event(1, 2, []) + event(3, 4, Array("job".utf8) + [0, 0, 0, 0, 0])
        let expected = [
            InotifyEvent(watch: 1, mask: 0x4000_0102, name: ""),
            InotifyEvent(watch: 3, mask: 0x4000_0104, name: "job"),
        ]
        #expect(InotifyEvent.all(in: bytes) == expected)
        for cut in 1..<24 { #expect(InotifyEvent.all(in: bytes.dropLast(cut)) == [expected[0]]) }
        #expect(InotifyEvent.all(in: []) == [])
    }

    @Test("only the next step of a folder above matters")
    func neighbours() throws {
        let folder = try HostFolder()
        try folder.folder("plugins")
        var watches = FolderWatches(paths: [folder("plugins")])
        expect(!watches.mustRescan)
        try folder.file("neighbour", "x")
        expect(!watches.read())
        try folder.file("plugins/job", "x")
        expect(watches.read())
        expect(!watches.read())
        try folder.setMode("plugins", 0o700)
        expect(watches.read())
    }

    @Test("putting the watches anew tells nothing by itself")
    func refresh() throws {
        let folder = try HostFolder()
        try folder.folder("one")
        try folder.link("plugins", to: "one")
        var watches = FolderWatches(paths: [folder("plugins")])
        watches.refresh()
        expect(!watches.read())
        try folder.folder("two")
        try folder.link("next", to: "two")
        try SystemFailure.checkErrno(unsafe rename(folder("next"), folder("plugins")))
        expect(watches.read())
        // The watch on the first folder was given up, and neither that nor a change there is told.
        try folder.file("one/job", "x")
        expect(!watches.read())
        try folder.file("two/job", "x")
        expect(watches.read())
    }

    @Test(
        "a folder that may not be read is looked at from time to time",
        .enabled(if: Rights.isNotRoot, Rights.bindsNotRoot)
    )
    func unreadable() throws {
        let folder = try HostFolder()
        try folder.folder("plugins", mode: 0o300)
        let watches = FolderWatches(paths: [folder("plugins")])
        expect(watches.mustRescan)
        try folder.setMode("plugins", 0o755)
    }
}
