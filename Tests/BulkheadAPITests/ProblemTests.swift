import BulkheadAPI
import BulkheadCore
import Testing

@Suite("Problem")
struct ProblemTests {
    static let statuses: [BulkheadError.Code: Int] = [
        .malformed: 400, .forbidden: 403, .notFound: 404, .conflict: 409, .wrongState: 409, .tooLarge: 413,
        .unknownType: 422, .typeRefused: 422, .queueFull: 429, .internal: 500, .host: 500,
        .invalidSetting: 500, .unavailable: 503, .storage: 503, .noReserve: 507,
    ]

    @Test("each code has its HTTP status", arguments: BulkheadError.Code.allCases)
    func status(code: BulkheadError.Code) {
        #expect(Problem(BulkheadError(code, "m")).status == Self.statuses[code])
    }

    @Test("what may succeed later says when", arguments: [429, 503, 507])
    func retryAfter(status: Int) {
        let problems = BulkheadError.Code.allCases.map { Problem(BulkheadError($0, "m")) }
        for problem in problems where problem.status == status { #expect(problem.retryAfterSeconds != nil) }
        for problem in problems where ![429, 503, 507].contains(problem.status) {
            #expect(problem.retryAfterSeconds == nil)
        }
    }

    @Test("the error's own time to try again goes first")
    func ownRetryAfter() {
        #expect(Problem(BulkheadError(.queueFull, "m", retryAfterSeconds: 77)).retryAfterSeconds == 77)
    }

    @Test("a problem is told with its cause and what to do")
    func json() {
        let error = BulkheadError(.typeRefused, "no", cause: "because", advice: "see plugins")
        #expect(
            Problem(error).json.text
                == #"{"type":"urn:bulkhead:problem:type-refused","title":"Tasks of this type are refused","#
                + #""status":422,"detail":"no: because","advice":"see plugins"}"#
        )
    }

    @Test("every problem says what to do about it", arguments: BulkheadError.Code.allCases)
    func advice(code: BulkheadError.Code) {
        #expect(Problem(BulkheadError(code, "m")).advice?.isEmpty == false)
        #expect(Problem(BulkheadError(code, "m", advice: "a")).advice == "a")
    }

    @Test("a problem reads back as it was", arguments: BulkheadError.Code.allCases)
    func roundTrip(code: BulkheadError.Code) throws {
        let problem = Problem(BulkheadError(code, "m", cause: "c", advice: "a", retryAfterSeconds: 3))
        let read = try #require(Problem(try JSONParser.parse(problem.json.bytes)))
        #expect(read == problem)
        #expect(read.code == code)
    }

    @Test("another server's problem is read as far as it goes, and anything else is none")
    func foreign() throws {
        let read = try #require(Problem(try JSONParser.parse(#"{"title":"Teapot","status":418}"#)))
        #expect(read == Problem(status: 418, kind: "", title: "Teapot", detail: "Teapot"))
        #expect(read.code == nil)
        #expect(Problem(.string("x")) == nil)
        #expect(Problem(.object(["status": .string("400"), "title": .string("t")])) == nil)
    }
}
