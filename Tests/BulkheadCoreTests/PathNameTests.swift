import BulkheadCore
import Testing

@Suite("PathName")
struct PathNameTests {
    /// U+0301, which Swift takes for a part of the character before it.
    private static let mark = "\u{301}"

    @Test("a name that begins with a combining mark lies in its folder, as it does for the kernel")
    func combiningMark() {
        let path = PathName("/srv/state/\(Self.mark)x")
        #expect(path.isBelow("/srv/state") && path.isIn("/srv/state"))
        #expect(path.parts == ["srv", "state", "\(Self.mark)x"] && path.name == "\(Self.mark)x")
        #expect(path.folder == "/srv/state")
        #expect(PathName("/\(Self.mark)x").isAbsolute && PathName("/\(Self.mark)x").isBelow("/"))
        #expect(!path.text.hasPrefix("/srv/state/"), "Swift's own comparison would do by now")
    }

    @Test("two spellings of one letter are two names")
    func spellings() {
        let (composed, decomposed) = (PathName("/srv/\u{e9}"), PathName("/srv/e\(Self.mark)"))
        #expect(composed != decomposed && Set([composed, decomposed]).count == 2)
        #expect(composed.text == decomposed.text, "to Swift they are one text")
        #expect(!PathName("/srv/e\(Self.mark)/x").isIn(composed))
        #expect((composed < decomposed) != (decomposed < composed))
    }

    @Test("a name that only begins alike lies elsewhere")
    func neighbours() {
        #expect(!PathName("/srv/state-2").isIn("/srv/state"))
        #expect(!PathName("/srv").isIn("/srv/state") && !PathName("/srv/state").isBelow("/srv/state"))
        #expect(PathName("/srv/state").isIn("/srv/state") && PathName("/srv").isBelow("/"))
        #expect(PathName("/").isIn("/") && !PathName("/").isBelow("/"))
    }

    @Test("folders and names fit together", arguments: ["/a", "/a/b", "/a/b/c"])
    func folders(text: String) throws {
        let path = PathName(text)
        let folder = try #require(path.folder)
        #expect(folder.appending(path.name) == path && folder.parts + [path.name] == path.parts)
        #expect(PathName("/").folder == nil && PathName("name").folder == nil)
    }
}
