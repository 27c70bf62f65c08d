import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

@Suite("PathRules")
struct PathRulesTests {
    private static func status(
        _ kind: FileStatus.Kind,
        _ mode: UInt16,
        uid: UInt32 = 1000
    ) -> FileStatus {
        FileStatus(kind: kind, mode: mode, uid: uid, gid: 50)
    }

    @Test("only root's and our own files obey the rule", arguments: [FileStatus.Kind.file, .folder, .link])
    func owners(_ kind: FileStatus.Kind) {
        for (uid, violation) in [(0, nil), (1000, nil), (1001, .foreignOwner)]
            as [(UInt32, PathRules.Violation?)]
        {
            let status = Self.status(kind, 0o755, uid: uid)
            #expect(PathRules.violation(of: status, user: 1000) == violation)
            #expect(PathRules.violation(of: status, onTheWay: true, user: 1000) == violation)
        }
    }

    @Test("nobody else may write")
    func modes() {
        for mode: UInt16 in 0...0o777 {
            let expected: PathRules.Violation? =
                mode & 0o002 != 0 ? .worldWritable : mode & 0o020 != 0 ? .groupWritable : nil
            #expect(PathRules.violation(of: Self.status(.file, mode), user: 1000) == expected)
        }
        // A link always has mode 0777, which says nothing.
        #expect(PathRules.violation(of: Self.status(.link, 0o777), user: 1000) == nil)
    }

    @Test("a sticky folder is safe on the way, not at the end, and only when its owner is right")
    func sticky() {
        let shared = Self.status(.folder, 0o1777, uid: 0)
        #expect(PathRules.violation(of: shared, onTheWay: true, user: 1000) == nil)
        #expect(PathRules.violation(of: shared, onTheWay: false, user: 1000) == .worldWritable)
        let foreign = Self.status(.folder, 0o1777, uid: 1001)
        #expect(PathRules.violation(of: foreign, onTheWay: true, user: 1000) == .foreignOwner)
        #expect(
            PathRules.violation(of: Self.status(.folder, 0o777, uid: 0), onTheWay: true, user: 1000)
                == .worldWritable
        )
    }

    @Test("a secret is nobody else's to read")
    func secrets() {
        for (mode, violation) in [(0o600, nil), (0o400, nil), (0o640, .notSecret), (0o604, .notSecret)]
            as [(UInt16, PathRules.Violation?)]
        {
            #expect(PathRules.violation(of: Self.status(.file, mode), secret: true, user: 1000) == violation)
        }
    }

    @Test("a good file is read whole")
    func good() throws {
        let folder = try HostFolder()
        let path = try folder.file("pools.yaml", "media: {}\n")
        #expect(try PathRules.readFile(path, limit: 100) == Array("media: {}\n".utf8))
        #expect(try PathRules.readFile(path, limit: 10).count == 10)
        #expect(
            refusal { () throws(BulkheadError) in try PathRules.readFile(path, limit: 9) }?.code == .tooLarge
        )
    }

    @Test("a file that its group can write is refused with the command that mends it")
    func groupWritable() throws {
        let folder = try HostFolder()
        let path = try folder.file("thumbnail", "x", mode: 0o775)
        let group = UserDirectory.groupName(try FileStatus.of(path).gid) ?? "?"
        let error = refusal { () throws(BulkheadError) in try PathRules.openFile(path) }
        #expect(error?.message == "\(path) is writable by group \"\(group)\" (mode 0775)")
        #expect(error?.advice == "run chmod g-w \(path)")
        #expect(error?.code == .typeRefused)
    }

    @Test("a file that everybody can write is refused, in words and a quoted command")
    func worldWritable() throws {
        let folder = try HostFolder()
        let path = try folder.file("it's mine", "x", mode: 0o666)
        let error = refusal { () throws(BulkheadError) in try PathRules.openFile(path, code: .invalidSetting)
        }
        #expect(error?.message == "\(path) is writable by everybody (mode 0666)")
        #expect(error?.advice == "run chmod go-w '\(folder.path)/it'\\''s mine'")
        #expect(error?.code == .invalidSetting)
    }

    @Test("a folder above that others can write is refused by its own name")
    func folderAbove() throws {
        let folder = try HostFolder()
        let open = try folder.folder("open", mode: 0o777)
        try folder.folder("open/plugins")
        let path = try folder.file("open/plugins/job", "x")
        let error = refusal { () throws(BulkheadError) in try PathRules.openFile(path) }
        #expect(error?.message == "\(open) is writable by everybody (mode 0777)")
        try folder.setMode("open", 0o1777)
        _ = try PathRules.openFile(path)
    }

    @Test("a folder above is checked too where the next name begins with a combining mark")
    func combiningMark() throws {
        let folder = try HostFolder()
        let open = try folder.folder("open", mode: 0o777)
        let below = open + "/\u{301}plugins"
        try SystemFailure.checkErrno(unsafe mkdir(below, 0o755))
        let error = refusal { () throws(BulkheadError) in try PathRules.checkFolder(below) }
        #expect(error?.message == "\(open) is writable by everybody (mode 0777)")
        try folder.setMode("open", 0o755)
        #expect(try PathRules.checkFolder(below).utf8.elementsEqual(below.utf8))
    }

    @Test("a sticky folder cannot itself be the plugins folder")
    func stickyEnd() throws {
        let folder = try HostFolder()
        let path = try folder.folder("plugins", mode: 0o1777)
        #expect(
            refusal { () throws(BulkheadError) in try PathRules.checkFolder(path) }?.code == .invalidSetting
        )
        try folder.setMode("plugins", 0o755)
        #expect(try PathRules.checkFolder(path + "/.") == path)
    }

    @Test("another user's file, folder or link is refused", .enabled(if: Rights.isRoot, Rights.needsRoot))
    func foreign() throws {
        let folder = try HostFolder()
        let path = try folder.file("job", "x")
        try folder.give("job", to: 54_321)
        let error = refusal { () throws(BulkheadError) in try PathRules.openFile(path) }
        #expect(error?.message == "\(path) belongs to user 54321, not to root")
        #expect(error?.advice == "run chown root \(path)")
        try folder.give("job", to: 0)
        let link = try folder.link("link", to: path)
        _ = try PathRules.openFile(link)
        try folder.give("link", to: 54_321)
        let linked = refusal { () throws(BulkheadError) in try PathRules.openFile(link) }
        #expect(linked?.message == "\(link) belongs to user 54321, not to root")
        #expect(linked?.advice == "run chown -h root \(link)")
    }

    @Test("links, dots and relative parts lead where the kernel would go")
    func links() throws {
        let folder = try HostFolder()
        try folder.folder("deep/er")
        try folder.file("deep/target", "here")
        try folder.link("deep/er/up", to: "../../deep")
        try folder.link("absolute", to: folder("deep"))
        for way in ["deep/er/up/target", "absolute/er/../target", "./deep//er/up/er/up/target"] {
            #expect(try PathRules.readFile(folder(way), limit: 10) == Array("here".utf8), "\(way)")
        }
        #expect(try PathRules.checkFolder(folder("absolute/er/up")) == folder("deep"))
    }

    @Test("a link into a folder that others can write is refused")
    func linkOut() throws {
        let folder = try HostFolder()
        try folder.folder("open", mode: 0o777)
        try folder.file("open/target", "x")
        let link = try folder.link("job", to: "open/target")
        let error = refusal { () throws(BulkheadError) in try PathRules.openFile(link) }
        #expect(error?.message == "\(folder("open")) is writable by everybody (mode 0777)")
    }

    @Test("a broken link is something that is there, a file missing behind a link is not")
    func brokenLink() throws {
        let folder = try HostFolder()
        let link = try folder.link("job", to: "nowhere")
        let broken = refusal { () throws(BulkheadError) in try PathRules.openFile(link) }
        #expect(broken?.code == .typeRefused)
        #expect(broken?.message == "\(link) is a link to \(folder("nowhere")), which is not there")
        try folder.folder("real")
        try folder.link("alias", to: "real")
        let missing = refusal { () throws(BulkheadError) in try PathRules.openFile(folder("alias/job")) }
        #expect(missing?.code == .notFound)
    }

    @Test("links in a circle end")
    func circle() throws {
        let folder = try HostFolder()
        try folder.link("one", to: "two")
        try folder.link("two", to: "one")
        let error = refusal { () throws(BulkheadError) in try PathRules.openFile(folder("one")) }
        #expect(error?.cause == SystemFailure(ELOOP).description)
    }

    @Test("what is missing is not found, whether it is the end or a folder on the way")
    func missing() throws {
        let folder = try HostFolder()
        try folder.file("file", "x")
        for name in ["nothing", "no/thing", "file/below"] {
            #expect(
                refusal { () throws(BulkheadError) in try PathRules.openFile(folder(name)) }?.code
                    == .notFound
            )
        }
        #expect(refusal { () throws(BulkheadError) in try PathRules.openFile("") }?.code == .typeRefused)
        #expect(
            refusal { () throws(BulkheadError) in try PathRules.openFile("/tmp/a\0b") }?.code == .typeRefused
        )
    }

    @Test("what is no regular file is refused without waiting for it")
    func noFile() throws {
        let folder = try HostFolder()
        try SystemFailure.checkErrno(unsafe mkfifo(folder("fifo"), 0o644))
        let pipe = refusal { () throws(BulkheadError) in try PathRules.openFile(folder("fifo")) }
        #expect(pipe?.message == "\(folder("fifo")) is no regular file")
        let itself = refusal { () throws(BulkheadError) in try PathRules.openFile(folder.path) }
        #expect(itself?.message == "\(folder.path) is a folder, not a file")
        let file = try folder.file("file", "x")
        #expect(
            refusal { () throws(BulkheadError) in try PathRules.checkFolder(file) }?.message
                == "\(file) is a file, not a folder"
        )
    }

    @Test("a file that cannot be read says for whom", .enabled(if: Rights.isNotRoot, Rights.bindsNotRoot))
    func unreadable() throws {
        let folder = try HostFolder()
        let path = try folder.file("job", "x", mode: 0o000)
        let error = refusal { () throws(BulkheadError) in try PathRules.openFile(path) }
        #expect(error?.cause == SystemFailure(EACCES).description)
        #expect(error?.code == .typeRefused)
    }
}
