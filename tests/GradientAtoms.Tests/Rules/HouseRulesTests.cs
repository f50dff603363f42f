using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Rules;

/// <summary>Rules that the compiler does not keep.</summary>
public sealed partial class HouseRulesTests
{
    // In the order of the arrows: each may refer to those before it.
    private static readonly string[] Projects = ["GradientAtoms.Text", "GradientAtoms.Models", "GradientAtoms", "GradientAtoms.Runs", "GradientAtoms.Demo", "GradientAtoms.Server", "GradientAtoms.Cli"];

    private static string Source => Path.Combine(Fixtures.RepositoryRoot, "src");

    [Fact]
    public void Projects_refer_one_way()
    {
        var found = Directory.GetDirectories(Source).Select(Path.GetFileName).Where(name => Directory.GetFiles(Path.Combine(Source, name!), "*.csproj").Length > 0);
        Assert.Equal(Projects, found.OrderBy(name => Array.IndexOf(Projects, name) is var place and >= 0 ? place : Projects.Length));
        foreach (var project in Projects)
        {
            var references = XDocument.Load(Path.Combine(Source, project, $"{project}.csproj")).Descendants("ProjectReference")
                .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value.Replace('\\', '/'))).ToList();
            var allowed = Projects.TakeWhile(name => name != project);
            Assert.Empty(references.Except(allowed, StringComparer.Ordinal));
        }
    }

    [Fact]
    public void Assemblies_refer_one_way()
    {
        for (var place = 0; place < Projects.Length; place++)
        {
            var ours = Load(Projects[place]).GetReferencedAssemblies().Select(name => name.Name!).Intersect(Projects, StringComparer.Ordinal);
            Assert.Empty(ours.Except(Projects[..place], StringComparer.Ordinal));
        }

        Assert.DoesNotContain("TorchSharp", Load("GradientAtoms.Text").GetReferencedAssemblies().Select(name => name.Name));
    }

    [Fact]
    public void The_method_uses_no_file_console_clock_or_environment()
    {
        foreach (var (path, text) in Files("GradientAtoms"))
        {
            Assert.True(!Outside().IsMatch(text), $"{path} uses {Outside().Match(text).Value}");
        }

        Assert.Matches(Outside(), "var x = File.ReadAllText(path);");
        Assert.Matches(Outside(), "Console.WriteLine(1);");
    }

    [Fact]
    public void Every_error_code_has_one_line_in_the_documentation_and_every_line_a_code()
    {
        var used = Projects.SelectMany(Files).SelectMany(file => QuotedCode().Matches(file.Text).Select(match => match.Groups[1].Value)).ToHashSet(StringComparer.Ordinal);
        var documented = Directory.GetFiles(Path.Combine(Fixtures.RepositoryRoot, "docs", "errors"), "*.md")
            .SelectMany(file => File.ReadLines(file).Select(line => (Row: CodeRow().Match(line), File: Path.GetFileName(file))))
            .Where(line => line.Row.Success)
            .Select(line => line.Row.Groups[1].Value)
            .ToList();
        Assert.Empty(documented.GroupBy(code => code, StringComparer.Ordinal).Where(group => group.Count() > 1).Select(group => group.Key));
        Assert.Equal(used.Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
        Assert.True(used.Count > 70, $"{used.Count} codes");
    }

    [Fact]
    public void A_code_is_of_one_kind_of_exception()
    {
        // A code that two classes use means two things.
        var owners = Projects.SelectMany(Files)
            .SelectMany(file => ThrownCode().Matches(file.Text).Select(match => (Class: match.Groups[1].Value, Code: match.Groups[2].Value)))
            .GroupBy(thrown => thrown.Code, thrown => thrown.Class, StringComparer.Ordinal)
            .Where(group => group.Distinct(StringComparer.Ordinal).Count() > 1)
            .Select(group => $"{group.Key}: {string.Join(", ", group.Distinct(StringComparer.Ordinal))}");
        Assert.Empty(owners);
    }

    [Fact]
    public void A_code_is_used_in_one_project_only()
    {
        // GA2004, no document that can be used, is found by the reader, by the plan and by the audit.
        string[] shared = ["GA2004"];
        var projects = Projects.SelectMany(project => Files(project).SelectMany(file => QuotedCode().Matches(file.Text).Select(match => (Code: match.Groups[1].Value, Project: project))))
            .GroupBy(use => use.Code, use => use.Project, StringComparer.Ordinal)
            .Where(group => group.Distinct(StringComparer.Ordinal).Count() > 1 && !shared.Contains(group.Key, StringComparer.Ordinal))
            .Select(group => $"{group.Key}: {string.Join(", ", group.Distinct(StringComparer.Ordinal))}");
        Assert.Empty(projects);
    }

    [Fact]
    public void Options_are_sealed_records_that_cannot_be_changed()
    {
        var options = Projects.Select(Load).SelectMany(assembly => assembly.GetTypes()).Where(type => type.IsClass && type.Name.EndsWith("Options", StringComparison.Ordinal)).ToList();
        Assert.True(options.Count > 10, $"{options.Count} options records");
        foreach (var type in options)
        {
            Assert.True(type.IsSealed && type.GetMethod("<Clone>$") is not null, $"{type} is no sealed record");
            foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
            {
                Assert.True(
                    property.SetMethod is not { IsPublic: true } setter || setter.ReturnParameter.GetRequiredCustomModifiers().Any(modifier => modifier.Name == "IsExternalInit"),
                    $"{type}.{property.Name} can be set after it is made");
            }

            Assert.Empty(type.GetFields(BindingFlags.Public | BindingFlags.Instance));
        }
    }

    [Fact]
    public void Exceptions_of_ours_descend_from_one()
    {
        var exceptions = Projects.Select(Load).SelectMany(assembly => assembly.GetExportedTypes()).Where(type => typeof(Exception).IsAssignableFrom(type)).ToList();
        Assert.NotEmpty(exceptions);
        Assert.All(exceptions, type => Assert.True(typeof(GradientAtomsException).IsAssignableFrom(type), type.FullName));
    }

    private static Assembly Load(string project) => Assembly.Load(project == "GradientAtoms.Cli" ? "gatoms" : project);

    private static IEnumerable<(string Path, string Text)> Files(string project)
    {
        var folder = Path.Combine(Source, project);
        return Directory.GetFiles(folder, "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Source, file))
            .Where(file => file.Split(Path.DirectorySeparatorChar)[1] is not ("bin" or "obj"))
            .Select(file => (file, File.ReadAllText(Path.Combine(Source, file))));
    }

    [GeneratedRegex(@"\b(System\.IO\.|File\.|Directory\.|FileStream|FileInfo|Console\.|DateTime(Offset)?\.|Stopwatch|Environment\.|Process\.|HttpClient)")]
    private static partial Regex Outside();

    [GeneratedRegex("\"(GA[0-9]{4})\"")]
    private static partial Regex QuotedCode();

    [GeneratedRegex(@"^\| (GA[0-9]{4}) \| [^|]+ \| [^|]+ \|$")]
    private static partial Regex CodeRow();

    [GeneratedRegex("new ([A-Za-z]+Exception)\\(\\s*\"(GA[0-9]{4})\"")]
    private static partial Regex ThrownCode();
}
