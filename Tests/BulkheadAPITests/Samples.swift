import BulkheadAPI
import BulkheadCore

/// Tasks and texts that several suites use.
enum Samples {
    static let id = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6"
    static let moment = Timestamp(milliseconds: 1_795_249_800_250)

    static func task(params: JSONValue = .object(JSONObject()), sequence: Int64 = 7) throws -> TaskRecord {
        TaskRecord(
            sequence: sequence,
            id: try TaskID(id),
            type: try TaskType("thumbnail"),
            pool: try PoolName("media"),
            priority: -3,
            params: params,
            submittedAt: moment
        )
    }

    /// Reads a submit; an id that it does not bring is ``id``.
    static func submission(_ text: String) throws -> Submission {
        let own = try TaskID(id)
        return try SubmissionJSON.submission(Array(text.utf8)) { own }
    }

    static func batch(_ text: String) throws -> [Result<Submission, BulkheadError>] {
        let own = try TaskID(id)
        return try SubmissionJSON.batch(Array(text.utf8)) { own }
    }
}
