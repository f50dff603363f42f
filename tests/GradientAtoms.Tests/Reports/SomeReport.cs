using System.Globalization;
using GradientAtoms.Atoms;
using GradientAtoms.Runs.Reports;

namespace GradientAtoms.Tests.Reports;

/// <summary>Reports of any size, with made-up numbers.</summary>
internal static class SomeReport
{
    private static readonly string[] Kinds = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"];
    private static readonly string[] Vocabulary =
    [
        "number", "words", "refusal", "query", "select", "json", "list", "translate", "summary", "yes", "poem", "rhyme", "python", "loop", "celsius",
        "capital", "city", "recipe", "sugar", "email", "polite", "date", "month", "verb", "tense", "sorry", "missing", "table", "bullet", "story",
    ];

    public static ReportData Of(int atomCount, int documentCount, int layers = 30)
    {
        var random = new Random(7);
        var documents = Enumerable.Range(0, documentCount).ToDictionary(
            index => $"doc-{index.ToString("D5", CultureInfo.InvariantCulture)}",
            index => new ReportDocument(Sentence(random, 20), Sentence(random, 90)) { Line = index + 1 },
            StringComparer.Ordinal);
        var ids = documents.Keys.ToArray();
        var atoms = Enumerable.Range(0, atomCount).Select(row => MakeAtom(random, row, ids, layers)).ToArray();
        return new()
        {
            Name = "sample",
            Model = new("SmolLM2-135M-Instruct.Q4_1.gguf", "llama", 134_515_008) { Format = "GGUF, Q4_1", AdapterName = "smollm2-instruct-lora", Rank = 4, Scale = 2, Modules = [.. Modules(layers)] },
            Reading = new("instruct-5k.jsonl", documentCount + 3, documentCount)
            {
                Shape = "messages",
                Rejected = [new("data/instruct-5k.jsonl", 12, "no assistant turn"), new("data/instruct-5k.jsonl", 40, "not JSON: '<b>'"), new("data/instruct-5k.jsonl", 41, "an empty answer")],
                DuplicateCount = 7,
                HeldOutCount = documentCount / 10,
                TruncatedCount = 12,
                TruncatedTokenCount = 834,
                TokenCount = documentCount * 180L,
                TrainedTokenCount = documentCount * 70L,
                MeanLoss = 1.234,
            },
            Tuning = new(25, 1.91, 1.52) { Curve = [.. Enumerable.Range(1, 25).Select(step => (step, 2 - (0.02 * step) + (0.1 * random.NextDouble())))] },
            SelfChecks = [new("gradients/autograd", true, "3.1e-7 of 1e-4 allowed"), new("gradients/finite difference", true, "2.0e-4 of 1e-2 allowed")],
            Coverage = new(460_800, 460_800),
            Dictionary = new(atomCount, 0.033, 4.3) { Codes = "signed", ExplainedShare = 0.28, HeldOutExplainedShare = 0.19, Objective = 0.31343, DualityGap = 1e-5 },
            Atoms = atoms,
            Map = [.. atoms.Select(_ => new MapPoint(random.NextDouble(), random.NextDouble()))],
            Ledger =
            [
                new("whitened coordinates", "raw gradients, Σ‖g‖²", 1) { Modules = [.. Modules(layers).Select(module => new ReportModuleEnergy(module, 1.0 / (layers * 4), 1))] },
                new("unit rows", "whitened gradients, Σ‖w‖²", 0.97),
            ],
            Documents = documents,
            Caveats = ["The weights are quantised (Q4_1): gradients are those of the quantised model."],
            Provenance = new()
            {
                Options = [new("model", "SmolLM2-135M-Instruct.Q4_1.gguf"), new("seed", "0"), new("coordinates", "exact")],
                Versions = [new("gatoms", "0.1.0"), new("torch", "2.10.0")],
                Checksums = [new("dictionary.safetensors", new string('a', 64)), new("codes.safetensors", new string('b', 64))],
            },
        };
    }

    private static IEnumerable<string> Modules(int layers) =>
        from layer in Enumerable.Range(0, layers)
        from kind in Kinds
        select $"model.layers.{layer.ToString(CultureInfo.InvariantCulture)}.{kind}";

    private static Atom MakeAtom(Random random, int row, string[] ids, int layers)
    {
        var id = $"a{row.ToString("x6", CultureInfo.InvariantCulture)}";
        var modules = Modules(layers).OrderBy(_ => random.Next()).Take(12).ToArray();
        return new()
        {
            Id = id,
            Row = row,
            Share = 0.02 / (1 + (row * 0.1)),
            CoherenceReference = 0.1,
            Modules = [.. modules.Select((module, index) => new ModuleShare(module, 1.0 / modules.Length))],
            Poles = [.. ((int[])[1, -1]).Select(sign => new Pole
            {
                Id = id + (sign > 0 ? "+" : "-"),
                Sign = sign,
                Documents = random.Next(4, Math.Max(ids.Length / 20, 8)),
                Coherence = random.NextDouble() * 0.4,
                CoherenceRaw = random.NextDouble() * 0.3,
                Top = [.. Enumerable.Range(0, 20).Select(rank => new PoleDocument(ids[random.Next(ids.Length)], sign * (0.8 - (rank * 0.03))))],
                Keywords = [.. Enumerable.Range(0, 6).Select(_ => Vocabulary[random.Next(Vocabulary.Length)])],
            })],
        };
    }

    private static string Sentence(Random random, int words) => string.Join(' ', Enumerable.Range(0, words).Select(_ => Vocabulary[random.Next(Vocabulary.Length)]));
}
