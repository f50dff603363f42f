using System.Text.Json.Nodes;
using System.Xml.Linq;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Models.Generation;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Runs.Sweeps;
using GradientAtoms.Tests.Cli;

namespace GradientAtoms.Tests.Sweeps;

/// <summary>A sweep of a tiny run: what is asked, kept, counted, written, and gone on with.</summary>
public sealed class SweepTests(SweptRun swept) : IClassFixture<SweptRun>
{
    [Fact]
    public void Every_arm_is_asked_every_question_and_the_answers_are_the_generators()
    {
        var lines = File.ReadLines(Path.Combine(swept.Folder, "answers.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        var pole = swept.Report.Poles[0];
        var questions = pole.Questions.OnTarget + pole.Questions.OffTarget;
        Assert.True(pole.Questions is { OnTarget: > 2, OffTarget: SweptRun.Count });
        Assert.Equal(6, pole.Steps.Count); // unsteered, two strengths both ways, what was removed
        Assert.Equal(pole.Steps.Count * questions, lines.Select(line => ((string)line["arm"]!, (string)line["key"]!)).Distinct().Count());
        Assert.All(pole.Rows, row => Assert.Equal(row.Group == SweepGroup.OnTarget ? pole.Questions.OnTarget : pole.Questions.OffTarget, row.Answers + row.Failed + row.NotRun));

        var asked = File.ReadLines(Path.Combine(swept.Folder, "questions.jsonl")).Select(line => JsonNode.Parse(line)!).First(line => (string)line["group"]! == "on_target");
        var arm = $"{swept.Pole}@0.1";
        using var step = PoleStep.Choose(swept.Session, swept.Pole, new() { Kl = 0.1 });
        using var adapter = step.ToAdapter(swept.Session.Adapter);
        var loaded = swept.Session.Model.Loaded;
        var expected = TextGenerator.Generate(
            loaded.Model, swept.Session.Model.EncodePrompt((string)asked["prompt"]!, swept.Session.Options), new() { MaxNewTokens = SweptRun.Length, StopIds = loaded.StopIds }, [adapter]);
        var answer = lines.Single(line => (string)line["arm"]! == arm && (string)line["question"]! == (string)asked["id"]!);
        Assert.Equal(loaded.Tokenizer.Decode(expected.Tokens, skipSpecialTokens: true).Trim(), (string)answer["text"]!);
        Assert.Equal(expected.Tokens.Count, (int)answer["tokens"]!);
    }

    [Fact]
    public void Steps_are_those_of_steer_with_what_was_measured_of_them()
    {
        var steps = swept.Report.Poles[0].Steps.ToDictionary(step => step.Arm, StringComparer.Ordinal);
        using var known = PoleStep.Choose(swept.Session, swept.Pole, new() { Kl = 0.1, Less = true });
        using var measured = PoleStep.Choose(swept.Session, swept.Pole, new() { Kl = 0.1, Less = true, UsesCache = false });
        Assert.True(known.WasKnown);
        Assert.False(measured.WasKnown);
        Assert.Equal(measured.Size, known.Size);
        Assert.Equal(measured.Sign, known.Sign);
        Assert.Equal(known.Size, steps[$"{swept.Pole}@-0.1"].Size);
        Assert.NotNull(measured.Unseen);
        Assert.Equal(measured.Unseen.Mean, steps[$"{swept.Pole}@-0.1"].KlUnseen!.Value, 1e-9);
        Assert.Equal(measured.Calibration!.Curve.Select(point => point.Step), measured.Calibration.Curve.Select(point => point.Step).Order());
        Assert.InRange(steps[$"{swept.Pole} removed"].Share!.Value, 0, 1);
        Assert.Equal(2, swept.Report.Poles[0].Likelihood!.Count(entry => entry.Arm == $"{swept.Pole}@0.1"));
    }

    [Fact]
    public void A_sweep_that_was_killed_goes_on_and_one_that_is_done_asks_nothing()
    {
        var (path, folder) = (swept.Copy("killed", SweptRun.Name), swept.CopyOf("killed"));
        var whole = File.ReadAllBytes(path);
        var lines = File.ReadAllLines(path);
        File.WriteAllText(path, string.Join('\n', lines[..7]) + "\n" + lines[7][..20]);
        using (var session = new RunSession(folder))
        {
            Sweep.Run(session, SweptRun.Options(swept.Pole));
        }

        Assert.Equal(whole, File.ReadAllBytes(path));
        Assert.Equal(File.ReadAllText(Path.Combine(swept.Folder, "sweep.json")), File.ReadAllText(Path.Combine(Path.GetDirectoryName(path)!, "sweep.json")));

        // Nothing is generated where everything is there: a journal that would be written to is unchanged.
        using var again = new RunSession(folder);
        var told = new List<string?>();
        Sweep.Run(again, SweptRun.Options(swept.Pole), new Telling(told));
        Assert.Equal(whole, File.ReadAllBytes(path));
        Assert.DoesNotContain(told, detail => detail?.StartsWith("KL", StringComparison.Ordinal) == true); // no calibration either
    }

    [Fact]
    public void Files_are_written_for_people_and_programs()
    {
        var svg = XDocument.Load(Path.Combine(swept.Folder, $"{swept.Pole}.svg"));
        Assert.Equal("svg", svg.Root!.Name.LocalName);
        var csv = File.ReadAllLines(Path.Combine(swept.Folder, "sweep.csv"));
        Assert.Equal(swept.Report.Poles.Sum(pole => pole.Rows.Count) + 1, csv.Length);
        Assert.All(csv, line => Assert.Equal(csv[0].Count(letter => letter == ','), line.Count(letter => letter == ',')));
        Assert.Equal("gatoms/sweep", (string)JsonNode.Parse(File.ReadAllText(Path.Combine(swept.Folder, "sweep.json")))!["schema"]!);
    }

    [Fact]
    public void Questions_of_a_file_are_asked_and_rubbish_in_it_is_told()
    {
        var file = swept.Write("questions.jsonl", """{"id": "one", "prompt": "2 and 3"}""" + "\n\na plain line\n" + """{"prompt": "the mill aloud", "group": "off"}""" + "\n" + """{"id": "own", "prompt": "of another pole", "pole": "none+"}""" + "\n" + $$"""{"id": "own", "prompt": "4 and 5", "pole": "{{swept.Pole}}"}""" + "\n");
        var run = CliRun.Of("sweep", swept.Run, swept.Pole, "--name", "file", "--questions", file, "--kl", ".1", "--random", "1", "--max-new-tokens", "2", "--detector", "longer:0", "--detector", "yes", "--json");
        Assert.True(run.ExitCode == 0, run.Error);
        var json = JsonNode.Parse(run.Out)!["poles"]![0]!;
        Assert.Equal((3, 1), ((int)json["questions"]!["on_target"]!, (int)json["questions"]!["off_target"]!));
        var control = json["steps"]!.AsArray().Single(step => (string)step!["kind"]! == "random")!;
        var own = json["steps"]!.AsArray().Single(step => (string)step!["arm"]! == $"{swept.Pole}@0.1")!;
        Assert.Equal((double)own["kl_neutral"]!, (double)control["kl_neutral"]!, 0.05 * (double)own["kl_neutral"]!);
        Assert.Contains(json["rows"]!.AsArray(), row => (string)row!["detector"]! == "yes");
        foreach (var (text, problem) in new[] { ("{\"prompt\": ", "line 1"), ("{\"id\": \"x\"}", "no prompt"), ("{\"prompt\": \"a\", \"group\": \"up\"}", "group up"), ("\n", "no question"), ("{\"id\": \"1\", \"prompt\": \"a\"}\n{\"id\": \"1\", \"prompt\": \"b\"}", "twice"), ("{\"id\": \"1\", \"prompt\": \"a\"}\n{\"id\": \"1\", \"prompt\": \"b\", \"pole\": \"a1b2c3+\"}", "twice") })
        {
            var refused = CliRun.Of("sweep", swept.Run, swept.Pole, "--name", "refused", "--questions", swept.Write("rubbish.jsonl", text));
            Assert.Equal(3, refused.ExitCode);
            Assert.Contains("error GA2614", refused.Error, StringComparison.Ordinal);
            Assert.Contains(problem, refused.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_sweep_that_another_writes_is_left_alone()
    {
        var path = swept.Copy("locked", SweptRun.Name);
        using var other = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        using var session = new RunSession(swept.CopyOf("locked"));
        Assert.Equal("GA2616", Assert.Throws<RunFolderException>(() => Sweep.Run(session, SweptRun.Options(swept.Pole))).Code);
    }

    [Theory]
    [InlineData("--kl", "0")]
    [InlineData("--kl", ".1,x")]
    [InlineData("--name", "../out")]
    [InlineData("--name", "..")]
    [InlineData("--no-answers", null)]
    [InlineData("--max-tokens", "64")]
    public void Options_that_make_no_sense_are_refused(string option, string? value)
    {
        var run = CliRun.Of(["sweep", swept.Run, swept.Pole, option, .. value is null ? Array.Empty<string>() : [value]]);
        Assert.Equal(2, run.ExitCode);
    }

    [Fact]
    public void The_table_of_a_reader_has_each_arm()
    {
        var run = CliRun.Of("sweep", swept.Run, swept.Pole, "--name", SweptRun.Name, "--kl", ".1,.3", "--count", SweptRun.CountText, "--random", "0", "--remove", "--likelihood", "--max-new-tokens", SweptRun.LengthText, "--detector", "upper_case");
        Assert.True(run.ExitCode == 0, run.Error);
        Assert.Contains($"{swept.Pole}@-0.3", run.Out, StringComparison.Ordinal);
        Assert.Contains("detector upper_case", run.Out, StringComparison.Ordinal);
        Assert.Contains(Path.Combine("sweep", SweptRun.Name), run.Out, StringComparison.Ordinal);
    }

    private sealed class Telling(List<string?> told) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => told.Add(value.Note);
    }
}

/// <summary>A run that was swept once.</summary>
public sealed class SweptRun : IDisposable
{
    public const string Name = "first";
    public const int Count = 6;
    public const string CountText = "6";
    public const int Length = 4;
    public const string LengthText = "4";

    private readonly FinishedRun _finished = new();

    public SweptRun()
    {
        Session = new(Run);
        Pole = Session.Atoms.SelectMany(atom => atom.Poles).MaxBy(pole => pole.Documents)!.Id;
        Report = Sweep.Run(Session, Options(Pole));
    }

    public string Run => _finished.Audit.Folder["run"];

    public string Folder => Path.Combine(Run, "sweep", Name);

    public RunSession Session { get; }

    public string Pole { get; }

    public SweepReport Report { get; }

    public static SweepOptions Options(string pole) => new()
    {
        Poles = [pole], Name = Name, Kls = [0.1, 0.3], Count = Count, Random = 0, Remove = true, Likelihood = true, MaxNewTokens = Length, Detectors = ["upper_case"],
    };

    public string Write(string name, string text) => _finished.Audit.Folder.Write(name, text);

    public string CopyOf(string name) => _finished.Audit.Folder[name];

    /// <summary>A copy of the run, with the sweep; the path of its answers.</summary>
    public string Copy(string name, string sweep)
    {
        foreach (var file in Directory.GetFiles(Run, "*", SearchOption.AllDirectories))
        {
            var to = Path.Combine(CopyOf(name), Path.GetRelativePath(Run, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(file, to);
        }

        return Path.Combine(CopyOf(name), "sweep", sweep, "answers.jsonl");
    }

    public void Dispose()
    {
        Session.Dispose();
        _finished.Dispose();
    }
}
