import BulkheadCore
import Testing

@Suite("Quantities")
struct QuantitiesTests {
    @Test("durations are read in every unit")
    func durations() throws {
        let expected: [(String, Duration)] = [
            ("250ms", .milliseconds(250)), ("5s", .seconds(5)), ("5m", .seconds(300)),
            ("1h", .seconds(3_600)), ("0", .zero), ("0s", .zero),
        ]
        for (text, duration) in expected { #expect(try Quantities.duration(text) == duration, "\(text)") }
    }

    @Test(
        "what is no duration is refused",
        arguments: [
            "", "-5s", "5", "s", "5 s", "5S", "1.5s", "+5s", "5sec", "５s", "1d", "9999999h",
            "99999999999999999999s",
        ]
    )
    func badDurations(text: String) {
        #expect(throws: BulkheadError.self) { try Quantities.duration(text) }
    }

    @Test("sizes are read in every unit")
    func sizes() throws {
        let expected: [(String, Int64)] = [
            ("512B", 512), ("64KiB", 65_536), ("8MiB", 8 << 20), ("1GiB", 1 << 30), ("2TiB", 2 << 40),
            ("0", 0),
        ]
        for (text, bytes) in expected { #expect(try Quantities.bytes(text) == bytes, "\(text)") }
    }

    @Test(
        "what is no size is refused",
        arguments: ["", "-1B", "64MB", "64MB?", "64", "KiB", "1.5GiB", "64 MiB", "9999999999999TiB"]
    )
    func badSizes(text: String) {
        #expect(throws: BulkheadError.self) { try Quantities.bytes(text) }
    }

    @Test("what is printed is read back as the same value")
    func printed() throws {
        for text in ["250ms", "5s", "90s", "5m", "1h", "0"] {
            #expect(Quantities.text(try Quantities.duration(text)) == text)
        }
        for text in ["513B", "64KiB", "8MiB", "1GiB"] {
            #expect(Quantities.text(bytes: try Quantities.bytes(text)) == text)
        }
    }
}

@Suite("Timestamp")
struct TimestampTests {
    @Test("a moment is written in RFC 3339 with milliseconds, and read back")
    func roundTrip() throws {
        let moment = Timestamp(milliseconds: 1_795_250_245_678)
        #expect(moment.description == "2026-11-21T08:37:25.678Z")
        #expect(try Timestamp(moment.description) == moment)
        #expect(Timestamp(milliseconds: -1).description == "1969-12-31T23:59:59.999Z")
        for offset in Int64(0)..<1_000 {
            let other = Timestamp(milliseconds: 1_795_250_245_000 + offset)
            #expect(try Timestamp(other.description) == other)
        }
    }

    @Test("whole seconds and offsets are read")
    func forms() throws {
        #expect(try Timestamp("1970-01-01T00:00:01Z").milliseconds == 1_000)
        #expect(try Timestamp("1970-01-01T01:00:01+01:00").milliseconds == 1_000)
        #expect(try Timestamp("1969-12-31T18:29:59.9-05:30").milliseconds == -100)
        #expect(try Timestamp("1970-01-01t00:00:00.0019999999z").milliseconds == 1)
        #expect(try Timestamp("2016-12-31T23:59:60Z") == Timestamp("2017-01-01T00:00:00Z"))
        #expect(try Timestamp("2000-02-29T00:00:00.25Z").milliseconds == 951_782_400_250)
        #expect(try Timestamp("0001-01-01T00:00:00Z").milliseconds == -62_135_596_800_000)
        #expect(try Timestamp("9999-12-31T23:59:59.999Z").milliseconds == 253_402_300_799_999)
    }

    @Test("every day of four centuries is read as it is written")
    func days() throws {
        for day in stride(from: Int64(-25_600), to: 125_000, by: 1) {
            let moment = Timestamp(milliseconds: day * 86_400_000 + 43_200_001)
            #expect(try Timestamp(moment.description) == moment)
        }
    }

    @Test(
        "what is no time is refused",
        arguments: [
            "", "yesterday", "2026-13-01T00:00:00Z", "2026-11-21", "2026-02-30T08:30:00Z",
            "1900-02-29T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T23:60:00Z", "2026-11-21T23:59:61Z",
            "2026-11-21T08:30:00Zjunk", "2026-11-21T08:30:00", "2026-11-21T08:30:00.Z",
            "2026-11-21T08:30:00+0100", "2026-11-21T08:30:00+24:00", "0000-01-01T00:00:00Z",
            "99999-01-01T00:00:00Z", "+026-11-21T08:30:00Z", "2026-11-21 08:30:00Z", "２026-11-21T08:30:00Z",
        ]
    )
    func bad(text: String) {
        #expect(throws: BulkheadError.self) { try Timestamp(text) }
    }
}
