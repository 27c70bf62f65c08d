import BulkheadCore
import Testing

@Suite("TaskID")
struct TaskIDTests {
    @Test("a UUID of any version is taken and held in lower case")
    func anyVersion() throws {
        let id = try TaskID("C0FFEE00-1234-4ABC-9DEF-0123456789AB")
        #expect(id.text == "c0ffee00-1234-4abc-9def-0123456789ab")
    }

    @Test(
        "what is no UUID is refused",
        arguments: [
            "", "abc", "c0ffee00-1234-4abc-9def-0123456789a", "c0ffee00-1234-4abc-9def-0123456789abc",
            "c0ffee00_1234-4abc-9def-0123456789ab", "g0ffee00-1234-4abc-9def-0123456789ab",
            "c0ffee00-1234-4abc-9def-0123456789a\0", "{c0ffee00-1234-4abc-9def-0123456789ab}",
        ]
    )
    func refused(text: String) {
        #expect(throws: BulkheadError.self) { try TaskID(text) }
    }

    @Test("an id made here is a UUID of version 7 that sorts by its time")
    func version7() throws {
        let first = TaskID(milliseconds: 1_700_000_000_000, random: (.max, .max))
        let second = TaskID(milliseconds: 1_700_000_000_001, random: (0, 0))
        #expect(first < second)
        for id in [first, second] {
            #expect(try TaskID(id.text) == id)
            let characters = Array(id.text)
            #expect(characters[14] == "7")
            #expect("89ab".contains(characters[19]))
        }
    }

    @Test("six characters begin an id, five do not")
    func beginnings() {
        #expect(TaskID.isBeginning("0192f3"))
        #expect(!TaskID.isBeginning("0192f"))
        #expect(!TaskID.isBeginning("../../etc"))
    }
}

@Suite("TaskType")
struct TaskTypeTests {
    @Test(
        "plain names are task types",
        arguments: ["a", "checksum", "extract-text", "7z", String(repeating: "x", count: 63)]
    )
    func good(name: String) throws {
        #expect(try TaskType(name).name == name)
    }

    @Test(
        "anything else is refused",
        arguments: [
            "", "-a", "A", "a_b", "a.b", "../x", "a/b", "a\0b", "pools", "ä", " a",
            String(repeating: "x", count: 64),
        ]
    )
    func bad(name: String) {
        #expect(throws: BulkheadError.self) { try TaskType(name) }
    }
}

@Suite("Warnings")
struct WarningsTests {
    @Test("32 warnings are kept, cut to 512 bytes, and the rest are counted")
    func bounded() {
        var warnings = Warnings()
        for number in 0..<40 { warnings.append("\(number)" + String(repeating: "ä", count: 400)) }
        #expect(warnings.kept.count == Limits.warnings)
        #expect(warnings.kept.allSatisfy { $0.utf8.count <= Limits.warningBytes })
        #expect(warnings.omitted == 8)
        #expect(warnings.shown.last == "and 8 more warnings that were not kept")
    }
}
