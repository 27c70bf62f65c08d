import BulkheadLaunch
import Testing

@Suite("ProcessStat")
struct ProcessStatTests {
    static let line = """
        4711 (a) R 9 (b)) S 42 4711 4700 0 -1 4194368 96 7 0 0 3 4 5 6 20 0 1 0 12345 2600960 224 \
        18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0

        """

    @Test("the fields are found behind a name that holds spaces and parentheses")
    func hostileName() throws {
        let stat = try #require(ProcessStat(ArraySlice(Self.line.utf8)))
        #expect(stat.pid == 4711)
        #expect(stat.state == UInt8(ascii: "S"))
        #expect(stat.parent == 42)
        #expect(stat.threads == 1)
        #expect(stat.group == 4711)
        #expect(stat.session == 4700)
        #expect(stat.ownCPUTicks == 7)
        #expect(stat.cpuTicks == 18)
        #expect(stat.startTime == 12345)
        #expect(!stat.hasExecuted)
        #expect(!stat.isZombie)
    }

    @Test("the flag that the kernel clears at exec is told")
    func executed() throws {
        let line = Self.line.replacing("4194368", with: "4194304")
        #expect(try #require(ProcessStat(ArraySlice(line.utf8))).hasExecuted)
    }

    @Test("a content that is cut, empty or of another form is nothing")
    func malformed() {
        let bytes = ArraySlice(Self.line.utf8)
        for count in 0..<70 { #expect(ProcessStat(bytes.prefix(count)) == nil) }
        #expect(ProcessStat(ArraySlice(")(".utf8)) == nil)
        #expect(ProcessStat(ArraySlice("x (y) Z".utf8)) == nil)
    }
}
